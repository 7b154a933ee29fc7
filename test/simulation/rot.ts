/**
 * Rows that rot: which of a device's rows, and what of that takes something from everybody for good. A change is excused
 * where its last copy that could be read on any device's disk has rotted: that change, and no other of its case. So is
 * one that was erased everywhere, where the last word of that end has rotted: those that nobody had erased yet stand.
 */
import { nodeNatives } from '../../src/node/natives.js'
import { toHex } from '../../src/protocol/bytes.js'
import { CASE_KEY_BYTES, MAX_STATE_BYTES } from '../../src/protocol/limits.js'
import { KIND_TOMBSTONE } from '../../src/protocol/log.js'
import { decodePayload } from '../../src/protocol/payload.js'
import { decodeCase } from '../../src/store/case-state.js'
import { ChangeRow } from '../../src/store/records.gen.js'
import { toKey } from '../support/light-level.js'
import type { Random } from '../support/random.js'
import type { SimDevice } from '../support/world.js'
import type { Oracle } from './oracle.js'
import { CASES, TOKEN } from './sim.js'

/** Kinds of rows (src/store/keyspace.ts), each as often as it rots where there are any. */
const KINDS = [...'ccccccccppppppppllllllhhhbbbxxxyyyffuudsom']
const OF_CASES = 'cpb'
const MOST_ROWS = 4

/** Names of rows that rot together: of all kinds, or most of what is stored of one case. */
export function rowsToRot(device: SimDevice, random: Random, evenCases: boolean): string[] {
  const kinds = evenCases ? KINDS : KINDS.filter((kind) => !OF_CASES.includes(kind))
  const names = [...device.disk.durableRows.keys()].filter((name) => kinds.includes(name[0]!))
  if (names.length === 0) return []
  if (evenCases && random() < 0.5) {
    const own = rowsOf(device, random.pick(CASES))
    const share = random.pick([0.3, 0.6, 1])
    return own.filter(() => random() < share)
  }
  const picked = new Set<string>()
  for (let left = random.int(1, MOST_ROWS); left > 0; left--) picked.add(pickByKind(kinds, names, random))
  return [...picked]
}

function pickByKind(kinds: string[], names: string[], random: Random): string {
  const kind = random.pick(kinds.filter((each) => names.some((name) => name[0] === each)))
  return random.pick(names.filter((name) => name[0] === kind))
}

/** Names of what is stored of a case: its row, its parts, and changes of it. */
export function rowsOf(device: SimDevice, caseId: string): string[] {
  return [...device.disk.durableRows.keys()].filter((name) => caseOf(device, name) === caseId)
}

/** The case that a row belongs to, if it is one of a case. */
function caseOf(device: SimDevice, name: string): string | undefined {
  if (name[0] === 'l') return readRow(device, name)?.caseId
  if (name[0] !== 'c' && name[0] !== 'p') return undefined
  return CASES.find((caseId) => toKey(device.replica.keyOf(caseId)) === keyIn(name))
}

/** One bit of it turned over. */
export function flipped(value: Uint8Array, random: Random): Uint8Array {
  const other = Uint8Array.from(value)
  other[random.int(0, other.length - 1)]! ^= 1 << random.int(0, 7)
  return other
}

/** What can be read in one row of a case's content. */
interface Content {
  caseId: string | undefined
  tokens: string[]
  /** Generations of the case below this one are gone for good. */
  erased: number
}

/** What each stored value says; a row that is written anew is another object. */
const contents = new WeakMap<Uint8Array, Content | undefined>()

function readRow(device: SimDevice, name: string, rows = device.disk.durableRows): Content | undefined {
  const stored = rows.get(name)
  if (!stored) return undefined
  if (!contents.has(stored)) contents.set(stored, openRow(device, name, stored))
  return contents.get(stored)
}

/** What can be read of cases in these rows of a device. */
interface Held {
  /** Each change, and where. */
  tokens: Map<string, string>
  /** The cases that it is in, by their keys, and in which kind of row. */
  places: Map<string, { key: string; kind: string }[]>
  /** Which generation a case has by its own row. */
  levels: Map<string, number>
  /** How far each case was erased. */
  erased: Map<string, number>
  /** Ids of cases, by their keys. */
  names: Map<string, string>
  /** Changes in parts of cases whose own row can't be read, by the key. */
  nameless: Map<string, string[]>
}

function heldIn(device: SimDevice, rows: ReadonlyMap<string, Uint8Array>): Held {
  const held: Held = {
    tokens: new Map(),
    places: new Map(),
    levels: new Map(),
    erased: new Map(),
    names: new Map(),
    nameless: new Map(),
  }
  for (const name of rows.keys()) {
    if (name[0] !== 'p' && name[0] !== 'l' && name[0] !== 'c') continue
    const content = readRow(device, name, rows)
    if (!content) continue
    const { caseId, tokens } = content
    const key = caseId === undefined ? keyIn(name) : toKey(device.replica.keyOf(caseId))
    if (caseId !== undefined) {
      held.names.set(key, caseId)
      if (name[0] === 'c') held.levels.set(key, content.erased)
      held.erased.set(caseId, Math.max(content.erased, held.erased.get(caseId) ?? 0))
    } else if (!readRow(device, `c${key}`, rows)) {
      held.nameless.set(key, [...(held.nameless.get(key) ?? []), ...tokens])
      continue
    }
    for (const token of tokens) {
      const short = toHex(Buffer.from(key, 'latin1')).slice(0, 4)
      held.tokens.set(token, `at ${device.name} in ${name[0]} of ${short}`)
      held.places.set(token, [...(held.places.get(token) ?? []), { key, kind: name[0]! }])
    }
  }
  return held
}

/** Is it a case of what was found of one whose id nobody knows? */
const isFound = ({ names }: Held, key: string) => names.get(key)?.startsWith('found-') === true

const keyIn = (name: string) => name.slice(1, 1 + CASE_KEY_BYTES)

function openRow(device: SimDevice, name: string, stored: Uint8Array): Content | undefined {
  const key = Buffer.from(name, 'latin1')
  const value = device.replica.db.opened(key, stored)
  if (!value) return undefined
  if (name[0] === 'p') return { caseId: undefined, tokens: tokensIn(value), erased: 0 }
  if (name[0] === 'l') {
    const { caseId, kind, generation, payload } = ChangeRow.decode(value)
    const erased = kind === KIND_TOMBSTONE ? generation + 1 : generation
    return { caseId, tokens: kind === KIND_TOMBSTONE ? [] : tokensIn(payload), erased }
  }
  const { caseId, parked, erased, generation } = decodeCase(key.subarray(1), value)
  const tokens = parked.flatMap(({ payload }) => tokensIn(payload))
  return { caseId, tokens, erased: Math.max(erased, generation) }
}

function tokensIn(payload: Uint8Array): string[] {
  const raw = decodePayload(nodeNatives, payload, MAX_STATE_BYTES)
  return raw ? (Buffer.from(raw).toString('latin1').match(TOKEN) ?? []) : []
}

/**
 * What stands readable on the disk of some device that lives. A part of a case whose own row can't be read counts where
 * anybody knows which case that is, and it has had one generation only: else nobody can say what it is of.
 */
export class Standing {
  tokens = new Map<string, string>()
  erased = new Map<string, number>()
  /** Changes that went on in a case of what was found, while no end was known of the one that they had been in. */
  readonly found = new Set<string>()
  /** How far each case was erased, be it that it isn't durable yet. */
  private known = new Map<string, number>()
  /** Changes whose last copy has rotted, or that were erased by an end that has. */
  readonly excused = new Set<string>()
  /** Ends of cases of which the last word has rotted: the level. */
  readonly excusedEnds = new Map<string, number>()

  constructor(
    private readonly devices: () => SimDevice[],
    private readonly oracle: Oracle,
    private readonly broken: (what: string) => void,
  ) {}

  /** What stood must stand. */
  look(): void {
    const { tokens, erased } = this
    this.read()
    for (const [token, place] of tokens)
      if (!this.tokens.has(token) && !this.isErased(token))
        this.broken(`${token} stood ${place}, and stands nowhere`)
    for (const [caseId, level] of erased)
      if ((this.erased.get(caseId) ?? 0) < level)
        this.broken(`the end of ${caseId}, ${level}, stands nowhere`)
  }

  /** Does any device know now that the token's generation of its case has ended? */
  private isErased(token: string): boolean {
    const written = this.oracle.generations.get(token)
    return written !== undefined && written.generation < (this.known.get(written.caseId) ?? 0)
  }

  /** Runs what may take something from everybody: rows rot, a device is gone. Gives what it took. */
  except(work: () => void): string[] {
    this.look()
    const before = [...this.tokens.keys()]
    const ends = this.erased
    work()
    this.read()
    for (const [caseId, level] of ends) this.excuseEnd(caseId, level)
    const gone = before.filter((token) => !this.tokens.has(token))
    for (const token of gone) this.excused.add(token)
    return gone
  }

  /** An end is known to nobody any more: then nothing says of what it had erased everywhere why it is nowhere. */
  private excuseEnd(caseId: string, level: number): void {
    const left = this.erased.get(caseId) ?? 0
    if (left >= level) return
    this.excusedEnds.set(caseId, Math.max(level, this.excusedEnds.get(caseId) ?? 0))
    for (const [token, written] of this.oracle.generations) {
      const isOfIt = written.caseId === caseId && written.generation >= left && written.generation < level
      if (isOfIt && !this.tokens.has(token)) this.excused.add(token)
    }
  }

  private read(): void {
    this.tokens = new Map()
    this.erased = new Map()
    this.known = new Map()
    const found: string[] = []
    const all = this.devices().map((device) => {
      const durable = heldIn(device, device.disk.durableRows)
      // What is there until the next flush only isn't counted on.
      const lasting = device.disk.unflushed > 0 ? heldIn(device, device.disk.currentRows) : durable
      return { device, durable, lasting }
    })
    const names = new Map(
      all.flatMap(({ durable, lasting }) => [...durable.names].filter(([key]) => lasting.names.has(key))),
    )
    for (const { device, durable, lasting } of all) {
      for (const [token, place] of durable.tokens) {
        // What was put together of a case whose row was lost may be of a generation that this doesn't show: then it goes
        // with an end that it would have outlived.
        const generation = this.oracle.generations.get(token)?.generation ?? 0
        const isIn = ({ key, kind }: { key: string; kind: string }) =>
          kind === 'l' || isFound(durable, key) || (durable.levels.get(key) ?? 0) >= generation
        const places = durable.places.get(token)!.filter(isIn)
        if (places.length === 0 || !lasting.tokens.has(token)) continue
        this.tokens.set(token, place)
        // What was found of a case whose id nobody knows any more does not bring it back to that.
        if (places.some(({ key }) => !isFound(durable, key))) this.excused.delete(token)
        if (places.some(({ key }) => isFound(durable, key))) found.push(token)
      }
      for (const [caseId, level] of lasting.erased)
        this.known.set(caseId, Math.max(level, this.known.get(caseId) ?? 0))
      for (const [caseId, ever] of durable.erased) {
        const level = Math.min(ever, lasting.erased.get(caseId) ?? 0)
        this.erased.set(caseId, Math.max(level, this.erased.get(caseId) ?? 0))
      }
      for (const [key, tokens] of durable.nameless) {
        const caseId = names.get(key)
        if (caseId === undefined || this.oracle.generationOf(caseId) > 0) continue
        const kept = new Set([...(lasting.nameless.get(key) ?? []), ...lasting.tokens.keys()])
        for (const token of tokens)
          if (kept.has(token)) {
            this.tokens.set(token, `at ${device.name} in p of ${caseId}, without its row`)
            this.excused.delete(token)
          }
      }
    }
    for (const token of found) if (!this.isErased(token)) this.found.add(token)
    for (const [caseId, level] of this.excusedEnds)
      if ((this.erased.get(caseId) ?? 0) >= level) this.excusedEnds.delete(caseId)
  }
}
