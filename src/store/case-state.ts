/** A case's state as a value, and as the row of the database that it is stored in. */
import { BackWriter } from '../protocol/back-writer.js'
import { fromHex, toHex } from '../protocol/bytes.js'
import type { Clocks } from '../protocol/content.js'
import type { LogId } from '../protocol/log.js'
import { CaseRow } from './records.gen.js'

export interface Part {
  number: number
  bytes: number
}

export interface ParkedChange {
  log: LogId
  seq: number
  payload: Uint8Array
}

/** Everything of a case but its parts' bytes. Treated as a value: `draft` copies before changing. */
export interface CaseState {
  key: Uint8Array
  caseId: string
  generation: number
  /** Generations below this one are erased for good. */
  erased: number
  touched: Map<LogId, number>
  parts: Part[]
  nextPart: number
  clocks: Clocks
  parked: ParkedChange[]
  row: string
  /** The parts came whole from a peer: they are inspected before they are first used. */
  unchecked: boolean
  /** The row came from a peer and was not projected from the content yet. */
  rowUnproven: boolean
}

export function emptyCase(key: Uint8Array, caseId: string): CaseState {
  return {
    key,
    caseId,
    generation: 0,
    erased: 0,
    touched: new Map(),
    parts: [],
    nextPart: 0,
    clocks: new Map(),
    parked: [],
    row: '',
    unchecked: false,
    rowUnproven: false,
  }
}

const writer = new BackWriter()

/** A `CaseRow` (records.proto), from its last field to its first. */
export function encodeCase(state: CaseState): Uint8Array {
  const { touched, parts, clocks, parked } = state
  writer.begin()
  writer.flag(11, state.rowUnproven)
  writer.flag(10, state.unchecked)
  writer.text(9, state.row)
  for (const { log, seq, payload } of parked.toReversed()) {
    const before = writer.length
    writer.field(3, payload)
    writer.number(2, seq)
    writer.field(1, fromHex(log))
    writer.nested(8, before)
  }
  for (const [client, clock] of [...clocks].reverse()) {
    const before = writer.length
    writer.number(2, clock)
    writer.number(1, client)
    writer.nested(7, before)
  }
  writer.number(6, state.nextPart)
  for (const { number, bytes } of parts.toReversed()) {
    const before = writer.length
    writer.number(2, bytes)
    writer.number(1, number)
    writer.nested(5, before)
  }
  for (const [log, seq] of [...touched].reverse()) {
    const before = writer.length
    writer.number(2, seq)
    writer.field(1, fromHex(log))
    writer.nested(4, before)
  }
  writer.number(3, state.erased)
  writer.number(2, state.generation)
  writer.text(1, state.caseId)
  return writer.take()
}

export function decodeCase(key: Uint8Array, value: Uint8Array): CaseState {
  const row = CaseRow.decode(value)
  return {
    key,
    caseId: row.caseId,
    generation: row.generation,
    erased: row.erased,
    touched: new Map(row.touched.map(({ log, seq }) => [toHex(log), seq])),
    parts: row.parts,
    nextPart: row.nextPart,
    clocks: new Map(row.clocks.map(({ client, clock }) => [client, clock])),
    parked: row.parked.map((parked) => ({ ...parked, log: toHex(parked.log) })),
    row: row.row,
    unchecked: row.unchecked,
    rowUnproven: row.rowUnproven,
  }
}
