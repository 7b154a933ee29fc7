/**
 * ITEMS → bytes. The same bytes as the generated codec gives, but a case's parts are copied once, into a message
 * of the right size: the codec grows its buffer by doubling, and moves what is nested once more for each level.
 */
import { BackWriter } from './back-writer.js'
import { type Item, Items } from './sync.gen.js'

/** Field numbers and length-delimited wire type, as the first byte of a field (sync.proto). */
const FRAME_ITEMS = (9 << 3) | 2
const ITEMS_ITEM = (3 << 3) | 2
const ITEM_PART = (6 << 3) | 2

/** A whole `Frame` of kind ITEMS. */
export function encodeItems(value: Items): Uint8Array {
  const before = Items.encode({ ...value, items: [], claims: [], openings: [], missing: [] }).finish()
  const behind = Items.encode({ ...value, transfer: 0, early: false, items: [] }).finish()
  const cases = value.items.map(measured)
  const content = cases.reduce((sum, { bytes }) => sum + fieldBytes(bytes), before.length + behind.length)
  const out = new Output(fieldBytes(content))
  out.field(FRAME_ITEMS, content)
  out.put(before)
  for (const { item, head, tail, bytes } of cases) {
    out.field(ITEMS_ITEM, bytes)
    out.put(head)
    for (const part of item.parts) {
      out.field(ITEM_PART, part.length)
      out.put(part)
    }
    out.put(tail)
  }
  out.put(behind)
  return out.bytes
}

/** A case with all but its parts encoded: the fields before them and the fields behind. */
function measured(item: Item) {
  const parts = item.parts.reduce((sum, { length }) => sum + fieldBytes(length), 0)
  const [head, tail] = [headOf(item), tailOf(item)]
  return { item, head, tail, bytes: head.length + parts + tail.length }
}

const writer = new BackWriter()

/** Fields 1 to 5, and 7 to 10 (sync.proto), each from the last. */
function headOf({ key, caseId, generation, erased, touched }: Item): Uint8Array {
  writer.begin()
  for (const { log, seq } of touched.toReversed()) {
    const before = writer.length
    writer.number(2, seq)
    writer.field(1, log)
    writer.nested(5, before)
  }
  writer.number(4, erased)
  writer.number(3, generation)
  writer.text(2, caseId)
  writer.field(1, key)
  return writer.take()
}

function tailOf({ parked, row, clocks, more }: Item): Uint8Array {
  writer.begin()
  writer.flag(10, more)
  for (const { client, clock } of clocks.toReversed()) {
    const before = writer.length
    writer.number(2, clock)
    writer.number(1, client)
    writer.nested(9, before)
  }
  writer.field(8, row)
  for (const { log, seq, payload } of parked.toReversed()) {
    const before = writer.length
    writer.field(3, payload)
    writer.number(2, seq)
    writer.field(1, log)
    writer.nested(7, before)
  }
  return writer.take()
}

/** What a field of so many bytes takes, with its tag and its length. */
function fieldBytes(length: number): number {
  let bytes = 2 + length
  for (let rest = length; rest > 0x7f; rest = Math.floor(rest / 128)) bytes++
  return bytes
}

class Output {
  readonly bytes: Uint8Array
  private at = 0

  constructor(length: number) {
    this.bytes = new Uint8Array(length)
  }

  field(tag: number, length: number): void {
    this.bytes[this.at++] = tag
    let rest = length
    for (; rest > 0x7f; rest = Math.floor(rest / 128)) this.bytes[this.at++] = (rest % 128) | 0x80
    this.bytes[this.at++] = rest
  }

  put(part: Uint8Array): void {
    this.bytes.set(part, this.at)
    this.at += part.length
  }
}
