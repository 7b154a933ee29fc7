/** Mutations that know what the bytes are: protobuf messages, numbers of variable length, Yjs updates, plain bytes. */
import { concat } from '../../src/protocol/bytes.js'
import type { Random } from '../support/random.js'

type Mutation = (random: Random, bytes: Uint8Array, others: readonly Uint8Array[]) => Uint8Array

/** Longest input that mutations make; what only grows is cut here. */
const MAX_BYTES = 64 * 1024

/** Unsigned LEB128 of up to 2^64. */
export function varint(value: bigint | number): number[] {
  const bytes: number[] = []
  if (typeof value === 'number' && value < 2 ** 31) {
    for (let rest = value; ; rest >>>= 7) {
      bytes.push((rest & 127) | (rest > 127 ? 128 : 0))
      if (rest <= 127) return bytes
    }
  }
  for (let rest = BigInt(value); ; rest >>= 7n) {
    bytes.push(Number(rest & 127n) | (rest > 127n ? 128 : 0))
    if (rest <= 127n) return bytes
  }
}

/** Where readers go wrong: edges of every width, one more than they hold, and forms that are longer than need be. */
export const EXTREMES: readonly (readonly number[])[] = [
  ...[0, 1, 2, 127, 128, 255, 256, 16383, 16384, 65535, 65536, 2 ** 21, 2 ** 28 - 1, 2 ** 28].map(varint),
  ...[2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 35, 2 ** 40, 2 ** 52, 2 ** 53 - 1].map(varint),
  ...[2n ** 53n, 2n ** 53n + 1n, 2n ** 56n, 2n ** 63n - 1n, 2n ** 63n, 2n ** 64n - 1n].map(varint),
  [0x80, 0x00],
  [0x81, 0x80, 0x00],
  Array<number>(9).fill(0x80).concat(0x01),
  Array<number>(10).fill(0xff),
  Array<number>(16).fill(0x80),
]
const BYTES = [0, 1, 2, 10, 0x7f, 0x80, 0xfe, 0xff]

function splice(bytes: Uint8Array, at: number, remove: number, insert: ArrayLike<number>): Uint8Array {
  const out = new Uint8Array(bytes.length - remove + insert.length)
  out.set(bytes.subarray(0, at))
  out.set(insert, at)
  out.set(bytes.subarray(at + remove), at + insert.length)
  return out
}

/** A stretch, short ones more often. */
function stretch(random: Random, bytes: Uint8Array): { at: number; length: number } {
  const at = random.int(0, bytes.length)
  const most = bytes.length - at
  return { at, length: Math.min(most, random() < 0.8 ? random.int(1, 8) : random.int(0, most)) }
}

const flip: Mutation = (random, bytes) => {
  if (bytes.length === 0) return bytes
  const out = bytes.slice()
  out[random.int(0, out.length - 1)]! ^= 1 << random.int(0, 7)
  return out
}
const set: Mutation = (random, bytes) => {
  if (bytes.length === 0) return bytes
  const out = bytes.slice()
  out[random.int(0, out.length - 1)] = random.pick(BYTES)
  return out
}
const insert: Mutation = (random, bytes) =>
  splice(bytes, random.int(0, bytes.length), 0, random.bytes(random.int(1, 12)))
const remove: Mutation = (random, bytes) => {
  const { at, length } = stretch(random, bytes)
  return splice(bytes, at, length, [])
}
const truncate: Mutation = (random, bytes) => bytes.slice(0, random.int(0, bytes.length))
const repeat: Mutation = (random, bytes) => {
  const { at, length } = stretch(random, bytes)
  const piece = bytes.subarray(at, at + length)
  const times = random() < 0.9 ? 1 : random.int(2, 400)
  return splice(bytes, at, 0, concat(Array<Uint8Array>(times).fill(piece)))
}
const move: Mutation = (random, bytes) => {
  const { at, length } = stretch(random, bytes)
  const piece = bytes.slice(at, at + length)
  const rest = splice(bytes, at, length, [])
  return splice(rest, random.int(0, rest.length), 0, piece)
}
const extreme: Mutation = (random, bytes) => {
  const at = random.int(0, bytes.length)
  let length = 0
  while (at + length < bytes.length && bytes[at + length]! >= 0x80) length++
  return splice(bytes, at, Math.min(length + 1, bytes.length - at), random.pick(EXTREMES))
}
const cross: Mutation = (random, bytes, others) => {
  const other = random.pick(others)
  const piece = other.subarray(random.int(0, other.length))
  return concat([bytes.subarray(0, random.int(0, bytes.length)), piece])
}

const PLAIN: readonly Mutation[] = [flip, flip, set, insert, remove, truncate, repeat, move, extreme, cross]

/** A few mutations of one of the bytes in the corpus; once in a while none, so that what is valid is among them. */
export function mutated(random: Random, corpus: readonly Uint8Array[], ways = PLAIN): Uint8Array {
  let bytes = random.pick(corpus)
  if (random() < 0.02) return bytes
  do bytes = random.pick(ways)(random, bytes, corpus)
  while (random() < 0.45 && bytes.length < MAX_BYTES)
  return bytes.length > MAX_BYTES ? bytes.slice(0, MAX_BYTES) : bytes
}

// ---- protobuf

interface Field {
  number: number
  kind: number
  /** Number, or content. */
  value: Uint8Array
}

/** The fields of a message; undefined for what is none. */
function fieldsOf(bytes: Uint8Array): Field[] | undefined {
  const fields: Field[] = []
  let at = 0
  const number = (): number => {
    let value = 0
    for (let shift = 0; shift < 10; shift++) {
      const byte = bytes[at++]
      if (byte === undefined) return Number.NaN
      value += (byte & 127) * 2 ** (7 * shift)
      if (byte < 128) return value
    }
    return Number.NaN
  }
  while (at < bytes.length) {
    const tag = number()
    const kind = tag % 8
    const from = at
    let length = kind === 1 ? 8 : kind === 5 ? 4 : 0
    if (kind === 0) number()
    else if (kind === 2) length = number()
    else if (length === 0) return undefined
    const start = kind === 2 ? at : from
    at = kind === 0 ? at : start + length
    if (!(at <= bytes.length) || !(tag >= 8)) return undefined
    fields.push({ number: Math.floor(tag / 8), kind, value: bytes.subarray(start, at) })
  }
  return fields
}

function bytesOf(fields: readonly Field[]): Uint8Array {
  const parts: Uint8Array[] = []
  for (const { number, kind, value } of fields) {
    const head = varint(number * 8 + kind)
    if (kind === 2) head.push(...varint(value.length))
    parts.push(Uint8Array.from(head), value)
  }
  return concat(parts)
}

/** One change to the fields, with all lengths around it put right; elsewhere in the message, one to the bytes. */
const field: Mutation = (random, bytes, others) => {
  const fields = fieldsOf(bytes)
  if (!fields || fields.length === 0) return random.pick(PLAIN)(random, bytes, others)
  const at = random.int(0, fields.length - 1)
  const chosen = fields[at]!
  if (chosen.kind === 2 && chosen.value.length > 0 && random() < 0.7) {
    fields[at] = { ...chosen, value: field(random, chosen.value, others) }
    return bytesOf(fields)
  }
  switch (random.int(0, 7)) {
    case 0:
      fields.splice(at, 0, chosen)
      break
    case 1:
      fields.splice(at, 1)
      break
    case 2:
      for (let times = random.int(2, 300); times > 0; times--) fields.push(chosen)
      break
    case 3:
      fields[at] = { ...chosen, number: random.pick([random.int(1, 25), 2 ** 29 - 1, chosen.number + 1]) }
      break
    case 4:
      fields[at] =
        chosen.kind === 0
          ? { ...chosen, value: Uint8Array.from(random.pick(EXTREMES)) }
          : nested(random, chosen)
      break
    case 5:
      fields[at] = { ...chosen, value: random.pick([new Uint8Array(0), random.bytes(random.int(1, 40))]) }
      break
    case 6:
      fields.push(...(fieldsOf(random.pick(others)) ?? []).slice(0, 20))
      break
    default:
      fields.sort(() => random() - 0.5)
  }
  return bytesOf(fields)
}

/** The field inside itself, many times. */
function nested(random: Random, { number, kind, value }: Field): Field {
  let inner = value
  for (let depth = random.pick([1, 3, 100]); depth > 0 && inner.length < MAX_BYTES; depth--)
    inner = bytesOf([{ number, kind: 2, value: inner }])
  return { number, kind, value: kind === 2 ? inner : value }
}

/** A length that is not that of what follows. */
const lie: Mutation = (random, bytes) => {
  const fields = fieldsOf(bytes)?.filter(({ kind }) => kind === 2)
  if (!fields || fields.length === 0) return bytes
  const { number, value } = random.pick(fields)
  const length = random() < 0.5 ? random.pick(EXTREMES) : varint(value.length + random.int(-3, 3) + 3)
  return concat([bytes, Uint8Array.from([...varint(number * 8 + 2), ...length]), value])
}

export const MESSAGES: readonly Mutation[] = [...PLAIN, ...Array<Mutation>(8).fill(field), lie, lie]
