/**
 * Carrying by file: the same envelopes as at a relay, on a USB stick, and through the same door.
 *
 *   file    = "kartoteka carry 1" LF ‖ practice id 32 ‖ record* ‖ end
 *   record  = type u8 ‖ u32 length ‖ bytes        1: one roster entry, in order; 2: an envelope
 *   end     = 0 ‖ u32 number of records
 */
import { concat, equalBytes, readU32, toHex, u8, u32, utf8 } from '../../protocol/bytes.js'
import { MAX_ENVELOPE_BYTES } from '../../protocol/mailbox-limits.js'
import { StatesWriter } from '../../store/mail-out.js'
import type { Replica } from '../../store/replica.js'
import { type DeviceApi, Refused } from '../api.js'
import type { CarryReport } from '../contract.js'
import type { Practice } from './practice-state.js'
import { guarded } from './store-refusals.js'

const MAGIC = utf8('kartoteka carry 1\n')
const HEAD_BYTES = MAGIC.length + 32
const RECORD_BYTES = 5
const END = 0
const ENTRY = 1
const ENVELOPE = 2
/** A window or a command sends pieces about so large. */
const PIECE_BYTES = 512 * 1024
/** Files being read in at a time, and how long one may wait for its next piece. */
const MAX_FILES = 4

const toBase64 = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64')

export function carryApi(practice: Practice): DeviceApi['carry'] {
  const files = new Map<string, CarryIn>()
  return {
    async out() {
      practice.state()
      return pieces(practice)
    },
    async in({ file, data, last }) {
      practice.state()
      // [S6] What was jotted down goes before what the file brings.
      await practice.replica().docs.settle()
      const reading = files.get(file) ?? new CarryIn(practice)
      files.delete(file)
      files.set(file, reading)
      if (files.size > MAX_FILES) files.delete(files.keys().next().value!)
      try {
        await guarded(() => reading.push(new Uint8Array(Buffer.from(data, 'base64'))))
        if (!last) return reading.report
        files.delete(file)
        return await guarded(() => reading.finish())
      } catch (error) {
        files.delete(file)
        throw error
      }
    },
  }
}

/** The file with everything that some other device is not known to hold. */
async function* pieces(practice: Practice): AsyncGenerator<{ data: string; lacks?: string[] }> {
  let waiting: Uint8Array[] = []
  let bytes = 0
  const lacks: string[] = []
  for await (const part of parts(practice, lacks)) {
    waiting.push(part)
    bytes += part.length
    if (bytes < PIECE_BYTES) continue
    yield { data: toBase64(concat(waiting)) }
    waiting = []
    bytes = 0
  }
  yield { data: toBase64(concat(waiting)), ...(lacks.length > 0 && { lacks }) }
}

/** `lacks` takes the ids of the cases that can't be read. */
async function* parts(practice: Practice, lacks: string[]): AsyncGenerator<Uint8Array> {
  const { roster } = practice.state()
  const replica = practice.replica()
  const { mail } = practice
  if (!mail) throw new Refused('failed', 'Carrying by file is not possible here.')
  let records = 0
  const record = (type: number, bytes: Uint8Array) => {
    records++
    return concat([u8(type), u32(bytes.length), bytes])
  }
  await replica.docs.settle()
  await replica.flush()
  yield concat([MAGIC, roster.practiceId])
  for (const entry of roster.entries) yield record(ENTRY, entry)
  const from = lacking(practice)
  for (;;) {
    const written = await mail.office.writeChanges(from, 0)
    if (!written) throw new Refused('keys-damaged', 'This device lacks the key of its practice.')
    if (written.ranges.length === 0 && written.pruned.length === 0) break
    if (written.pruned.length > 0) {
      yield* states(practice, lacks, record)
      break
    }
    yield record(ENVELOPE, written.envelope)
    for (const { log, to } of written.ranges) from.set(log, to)
  }
  // A device that was restored hears of its own newer word, and has to speak a newer one to be given what it lacks.
  const word = await mail.office.writeWord([], new Uint8Array(0), practice.options.keeper.others())
  if (word) yield record(ENVELOPE, word)
  yield concat([u8(END), u32(records)])
}

async function* states(
  practice: Practice,
  lacks: string[],
  record: (type: number, bytes: Uint8Array) => Uint8Array,
): AsyncGenerator<Uint8Array> {
  const { random } = practice.options
  const replica = practice.replica()
  // The person is there, and is told what is missing: one damaged case holds up no other one.
  const writer = await StatesWriter.open(replica, random(16), lacking(practice), true)
  for (let index = 0, last = false; !last; index++) {
    const part = await writer?.next(index)
    const written = part && practice.mail?.office.writePart(part)
    // Without its end nothing of it would be of use, and the person would take the file along.
    if (!part || !written)
      throw new Refused(
        'carry-incomplete',
        'The cases could not be written into a file: what came in meanwhile is in doubt. Try again.',
      )
    for (const key of part.missing) lacks.push(await nameOf(replica, key))
    yield record(ENVELOPE, written.envelope)
    last = part.last
  }
}

/** The id of a damaged case, or how its key begins. */
async function nameOf(replica: Replica, key: Uint8Array): Promise<string> {
  const state = await replica.caseState(key).catch(() => undefined)
  return state?.caseId || `? ${toHex(key).slice(0, 8)}`
}

/** From where each log must be given, so that whoever lacks most gets all of it. */
function lacking(practice: Practice): Map<string, number> {
  const others = practice.options.keeper.others().map((device) => practice.driver?.frontierOf(device))
  const from = new Map<string, number>()
  for (const log of practice.replica().logs.all()) {
    const least = Math.min(log.seq, ...others.map((frontier) => frontier?.get(log.log) ?? 0))
    if (least < log.seq) from.set(log.log, least)
  }
  return from
}

class CarryIn {
  private rest: Uint8Array = new Uint8Array(0)
  private isBegun = false
  private isEnded = false
  private records = 0
  private entries: Uint8Array[] = []
  /** Envelopes that something is still missing for: changes before them, or their roster. */
  private readonly held = new Map<Uint8Array, 'gap' | 'unknown'>()
  readonly report: CarryReport = { envelopes: 0, taken: 0, received: 0 }

  constructor(private readonly practice: Practice) {}

  async push(bytes: Uint8Array): Promise<void> {
    this.rest = this.rest.length === 0 ? bytes : concat([this.rest, bytes])
    if (!this.isBegun) {
      if (!equalBytes(this.rest.subarray(0, MAGIC.length), MAGIC.subarray(0, this.rest.length)))
        throw new Refused(
          'carry-not-a-file',
          'This is not a file made by "Carry by file". Nothing was changed.',
        )
      if (this.rest.length < HEAD_BYTES) return
      const practice = this.rest.subarray(MAGIC.length, HEAD_BYTES)
      if (!equalBytes(practice, this.practice.state().roster.practiceId))
        throw new Refused(
          'carry-other-practice',
          'This file belongs to another practice. Nothing was changed.',
        )
      this.isBegun = true
      this.rest = this.rest.slice(HEAD_BYTES)
    }
    while (await this.next()) {}
  }

  private async next(): Promise<boolean> {
    if (this.rest.length < RECORD_BYTES || this.isEnded) return false
    const type = this.rest[0]!
    const length = readU32(this.rest, 1)
    if (type === END) {
      this.isEnded = length === this.records && this.rest.length === RECORD_BYTES
      if (!this.isEnded) throw damaged()
      return false
    }
    if ((type !== ENTRY && type !== ENVELOPE) || length > MAX_ENVELOPE_BYTES) throw damaged()
    if (this.rest.length < RECORD_BYTES + length) return false
    const bytes = this.rest.slice(RECORD_BYTES, RECORD_BYTES + length)
    this.rest = this.rest.slice(RECORD_BYTES + length)
    this.records++
    if (type === ENTRY) this.entries.push(bytes)
    else await this.take(bytes)
    return true
  }

  private async take(envelope: Uint8Array): Promise<void> {
    const learns = this.entries.length > 0
    if (learns) {
      const entries = this.entries
      this.entries = []
      await this.practice.applyRoster(entries)
    }
    this.report.envelopes++
    // What is held is looked at again only after something came that it may have waited for.
    for (let moved = (await this.admit(envelope)) || learns; moved && this.held.size > 0; ) {
      moved = false
      for (const each of [...this.held.keys()]) if (await this.admit(each)) moved = true
    }
  }

  /** True if something new came in. */
  private async admit(envelope: Uint8Array): Promise<boolean> {
    const { mail } = this.practice
    if (!mail) return false
    const admission = await mail.office.admit(envelope)
    if (admission.kind === 'gap' || admission.kind === 'unknown') this.held.set(envelope, admission.kind)
    else this.held.delete(envelope)
    if (admission.kind === 'taken') this.report.taken++
    if (!('changes' in admission) || admission.advanced.length === 0) return false
    this.report.received += admission.changes
    return true
  }

  async finish(): Promise<CarryReport> {
    await this.practice.replica().flush()
    this.practice.driver?.tookMail(this.report.received > 0)
    this.practice.driver?.tellStatements()
    if (!this.isEnded) throw damaged()
    if ([...this.held.values()].includes('unknown'))
      throw new Refused(
        'carry-newer',
        'This file was written after devices were added that this device does not know of yet. Connect it once, then try again.',
      )
    if (this.report.envelopes > 0 && this.report.taken === 0)
      throw new Refused('carry-damaged', 'Nothing in this file could be read. Nothing was changed.')
    await this.practice.options.notes.say(
      'carried-in',
      `A file was read in: ${this.report.received} changes.`,
    )
    if (this.held.size > 0)
      throw new Refused(
        'carry-gap',
        'Part of this file builds on changes that this device doesn’t have; the rest is taken in. Carry a file from this device to the other one, and then one back.',
      )
    return this.report
  }
}

function damaged(): Refused {
  return new Refused(
    'carry-damaged',
    'The file is damaged or cut off. What could be read is taken in; carry the rest again.',
  )
}
