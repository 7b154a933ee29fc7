/**
 * The oracle of the whole simulator: it hears of every change that any device appends or takes in, and holds what each
 * device has against it, on content, at any moment. The numbers are of this list.
 *
 *  [I1] every change up to a device's frontier is in its case, or parked, erased, void;
 *  [I4] what a case contains lies within its touched vector, and is of the branch that is held, or beyond, or doubted;
 *  [I6] cuts only fall, tombstones never go, generations only rise;
 *  [I7] a log has one writer: no two changes with one number, unless a folder was copied;
 *  [I8] what is announced is durable;
 *  [I9] what is dropped from a log was durable at every other device;
 *  [I10] what a relay says it holds is durable there.
 *
 * Where rows rot, a device is asked for what it can read, and for what it doesn't count as damaged. What has rotted
 * everywhere is asked of nobody (rot.ts).
 */
import { nodeNatives } from '../../src/node/natives.js'
import { equalBytes, toHex } from '../../src/protocol/bytes.js'
import { CASE_KEY_BYTES, MAX_STATE_BYTES } from '../../src/protocol/limits.js'
import {
  KIND_STATE,
  KIND_TOMBSTONE,
  KIND_UPDATE,
  type LogChange,
  type LogId,
} from '../../src/protocol/log.js'
import { decodeMailFrame, type MailFrameKind } from '../../src/protocol/mailbox-wire.js'
import { decodePayload } from '../../src/protocol/payload.js'
import { Ack, type Claim, Claims, Hello, Statements, Take } from '../../src/protocol/sync.gen.js'
import { decodeFrame, encodeFrame } from '../../src/protocol/wire.js'
import { UNKNOWN_LOG } from '../../src/store/case-content.js'
import { type CaseState, decodeCase } from '../../src/store/case-state.js'
import { isDamage } from '../../src/store/case-table.js'
import { readDoubts } from '../../src/store/doubts.js'
import { keys, rangeOf } from '../../src/store/keyspace.js'
import { readChanges } from '../../src/store/reading.js'
import type { Growth } from '../../src/store/replica.js'
import type { SimRelay } from '../support/mail-world.js'
import { lineOf, type SimDevice } from '../support/world.js'
import { TOKEN } from './sim.js'

interface Known {
  caseId: string
  generation: number
  kind: number
  tokens: string[]
  /** With these, what tells two changes with one number apart. */
  at: number
  payload: Uint8Array
}

/** What a device has shown since its folder was last put back. */
interface Shown {
  cuts: Map<LogId, number>
  erased: Map<string, number>
  generations: Map<string, number>
  retained: Map<LogId, { from: number; to: number }>
  at: number
  isFirst: boolean
}

export interface CaseSeen {
  state: CaseState
  /** In its content or parked in it. */
  tokens: Set<string>
  line: string
}

export class Oracle {
  readonly problems = new Set<string>()
  /** Folders were copied or put back: logs may have two branches, and devices may know less than they said. */
  hasCopies = false
  /** Logs of which two changes with one number were seen. */
  readonly forked = new Set<LogId>()
  /** Logs are shortened without regard to who lacks them. */
  drops = false
  /** Rows of devices that rot have made them forget what they held: words from before still count for others. */
  rots = false
  /** Changes that have rotted everywhere. */
  excused: ReadonlySet<string> = new Set()
  /** Ends of cases, below which generation, that have. */
  excusedEnds: ReadonlyMap<string, number> = new Map()
  /** token → the generation of its case that it was written in. */
  readonly generations = new Map<string, { caseId: string; generation: number }>()
  /** Generations of a case below this one were erased, or something newer has begun. */
  private readonly newest = new Map<string, number>()
  private readonly changes = new Map<LogId, Known[][]>()
  /**
   * Where each token was written, once for each check that it has there; undefined where that isn't known. Of a log whose
   * row has rotted before anybody heard what a device that was killed had written there, nothing is.
   */
  private readonly byToken = new Map<string, { log: LogId; seq: number; check: Uint8Array | undefined }[]>()
  private readonly shown = new Map<SimDevice, Shown>()
  private readonly since = new Map<SimDevice, number>()
  /** The number of each device's newest word when rows of it rotted last. */
  private readonly wordsBefore = new Map<SimDevice, number>()
  /** What was left at relays, by who left it where and under which number. */
  private readonly left = new Map<string, Uint8Array>()
  private step = 0

  constructor(private readonly devices: () => SimDevice[]) {}

  /** After each start of a device: listens to what it takes in. */
  follow(device: SimDevice): void {
    const { events } = device.replica
    const { grown } = events
    events.grown = (growth) => {
      this.note(device, growth)
      grown?.(growth)
    }
    if (!this.since.has(device)) this.since.set(device, this.step)
  }

  /** What a device that was killed had written, and had not told of yet. */
  async catchUp(device: SimDevice): Promise<void> {
    const { replica } = device
    const from = new Map([...replica.logs.all()].map(({ log, retainedFrom }) => [log, retainedFrom]))
    const { runs } = await readChanges(replica, from, Number.POSITIVE_INFINITY)
    this.note(device, { runs: runs.map((run) => ({ run, opening: replica.logs.get(run.log)! })) })
  }

  /** What the device had shown counts no more: it lost what was not durable, or went back. */
  forget(device: SimDevice): void {
    this.shown.delete(device)
  }

  /** Rows of the device have rotted. */
  hasRotted(device: SimDevice): void {
    this.forget(device)
    this.rots = true
    this.wordsBefore.set(device, device.statements.of(device.ed)?.counter ?? 0)
  }

  /** What could be read on some disk can be read on none, and nothing has rotted in between. */
  lost(what: string): void {
    if (this.problems.size < 20) this.problems.add(`[rot] ${what} (step ${this.step})`)
  }

  private broken(device: SimDevice, rule: string, what: string): void {
    if (this.problems.size < 20) this.problems.add(`[${rule}] ${device.name} ${what} (step ${this.step})`)
  }

  private note(device: SimDevice, growth: Pick<Growth, 'runs'>): void {
    for (const { run } of growth.runs) {
      const known = this.changes.get(run.log) ?? []
      this.changes.set(run.log, known)
      const held = device.replica.logs.get(run.log)
      for (const [at, change] of run.changes.entries()) {
        const { caseId, generation, kind, payload } = change
        const begins = kind === KIND_TOMBSTONE ? generation + 1 : generation
        if (begins > (this.newest.get(caseId) ?? 0)) this.newest.set(caseId, begins)
        const seq = run.from + at + 1
        known[seq] ??= []
        const branches = known[seq]
        const check = held?.seq === seq ? held.check : undefined
        const same = branches.find((each) => isSame(each, change))
        if (same) {
          // Behind other changes it has another check.
          if (check) for (const token of same.tokens) this.place(token, run.log, seq, check)
          continue
        }
        if (branches.length > 0) this.forked.add(run.log)
        if (branches.length > 0 && !this.hasCopies)
          this.broken(device, 'I7', `has another change ${short(run.log)}:${seq}`)
        const raw = decodePayload(nodeNatives, payload, MAX_STATE_BYTES) ?? new Uint8Array(0)
        const tokens = [...new Set(Buffer.from(raw).toString('latin1').match(TOKEN) ?? [])]
        branches.push({ caseId, generation, kind, tokens, at: change.at, payload })
        for (const token of tokens) {
          if (!this.generations.has(token)) this.generations.set(token, { caseId, generation })
          this.place(token, run.log, seq, check)
        }
      }
    }
  }

  /** The newest generation of a case that anybody has begun, or is to begin behind what was erased. */
  generationOf(caseId: string): number {
    return this.newest.get(caseId) ?? 0
  }

  private place(token: string, log: LogId, seq: number, check: Uint8Array | undefined): void {
    const places = this.byToken.get(token) ?? []
    this.byToken.set(token, places)
    const isThere = places.some(
      (place) => place.log === log && place.seq === seq && isSameCheck(place.check, check),
    )
    if (!isThere) places.push({ log, seq, check })
  }

  // ---- announcements

  /** [I8] A message on its way to another device. */
  overhear(device: SimDevice, bytes: Uint8Array): void {
    const frame = SAYING.has(bytes[0]!) ? decodeFrame(bytes) : undefined
    if (frame?.$case === 'hello') this.announced(device, frame.value.open, 'HELLO')
    if (frame?.$case === 'ack') this.announced(device, frame.value.claims, 'ACK')
    if (frame?.$case === 'take') this.announced(device, frame.value.frontier, 'TAKE')
    if (frame?.$case === 'claims') this.announced(device, frame.value.closed, 'CLAIMS')
    if (frame?.$case !== 'statements') return
    for (const { device: of, frontier, counter } of frame.value.statements) {
      // What it said before rows of it rotted may be here no more, or not again on the disk.
      const isOld = counter <= (this.wordsBefore.get(device) ?? 0)
      if (!this.hasCopies && !isOld && toHex(of) === toHex(device.ed))
        this.announced(device, frontier, 'STATEMENTS')
    }
  }

  private announced(device: SimDevice, claims: Claim[], where: string): void {
    for (const { log, seq } of claims) {
      const id = toHex(log)
      const held = device.replica.logs.get(id)
      // Of a log that was cut since, less is durable now than was when it was said.
      const isCut = held?.cut || device.isDurablyCut(id)
      if (held && held.seq >= seq && !isCut && device.durableSeq(id) < seq)
        this.broken(device, 'I8', `says in ${where} that it holds ${short(id)}:${seq}, which is not durable`)
    }
  }

  /** A deposit on its way to a relay. */
  leaves(relay: SimRelay, device: SimDevice, frame: MailFrameKind | undefined): void {
    if (frame?.$case === 'deposit')
      this.left.set(depositName(relay, device, frame.value.number), frame.value.envelope)
  }

  /** [I10] A relay's answer to a deposit. */
  answered(relay: SimRelay, device: SimDevice, bytes: Uint8Array): void {
    const frame = decodeMailFrame(bytes)
    if (frame?.$case !== 'done' || frame.value.error !== '') return
    const envelope = this.left.get(depositName(relay, device, frame.value.number))
    if (envelope && relay.disk.isAtRisk(envelope))
      this.broken(device, 'I10', `is told that what it left is held, which is not durable`)
  }

  /** [I7] A copied folder that shows continues no log. */
  beginsAnew(copy: SimDevice): void {
    if (copy.replica.liveLog)
      this.broken(copy, 'I7', `goes on in the log ${short(copy.replica.liveLog)} of its original`)
  }

  // ---- looking

  /** Everything that a device has, held against everything that is known. Never in the middle of a write. */
  async look(device: SimDevice): Promise<void> {
    if (device.disk.held || !device.alive) return
    await device.replica.exclusive(() => device.disk.quickly(() => this.examine(device)))
  }

  private async examine(device: SimDevice): Promise<void> {
    const seen = await this.see(device)
    const damaged = await this.damagedCases(device)
    this.coverage(device, seen, damaged)
    this.within(device, seen)
    await this.onItsBranch(device, seen, damaged)
    this.onlyForward(device, seen)
    this.dropped(device)
  }

  tick(): void {
    this.step++
  }

  async see(device: SimDevice): Promise<Map<string, CaseSeen>> {
    const { replica } = device
    const seen = new Map<string, CaseSeen>()
    // Without a word to the device: it shall find out by itself what has rotted.
    for await (const { key, value } of replica.db.rows(rangeOf('c'), () => {})) {
      const state = decodeCase(key.slice(1), value)
      const numbers = state.parts.map(({ number }) => keys.part(state.key, number))
      const read = device.mayRot
        ? await Promise.all(numbers.map((number) => replica.db.get(number).catch(() => undefined)))
        : await replica.db.getMany(numbers)
      if (device.mayRot && read.includes(undefined)) continue
      const parts = read as Uint8Array[]
      const line = parts.length > 0 ? lineOf(state.caseId, parts, state.unchecked) : ''
      const tokens = new Set(tokensOfLine(line))
      for (const { payload } of state.parked) for (const token of tokensIn(payload)) tokens.add(token)
      seen.set(state.caseId, { state, tokens, line })
    }
    return seen
  }

  /** [I1] */
  private coverage(
    device: SimDevice,
    seen: ReadonlyMap<string, CaseSeen>,
    damaged: ReadonlySet<string>,
  ): void {
    for (const { log, seq } of device.replica.logs.all()) {
      const known = this.changes.get(log)
      for (let at = 1; at <= seq; at++) {
        const branches = known?.[at]
        const isHere = (change: Known) =>
          isCovered(change, seen.get(change.caseId), this.excused) ||
          (device.mayRot && isSuperseded(change, seen.get(change.caseId))) ||
          (change.kind === KIND_TOMBSTONE &&
            change.generation < (this.excusedEnds.get(change.caseId) ?? 0)) ||
          (damaged.size > 0 && damaged.has(toHex(device.replica.keyOf(change.caseId))))
        if (branches && !branches.some(isHere))
          this.broken(device, 'I1', `claims ${short(log)}:${at} and lacks ${branches[0]!.tokens.join()}`)
      }
    }
  }

  /** A case that this device can't read, or knows to lack something of. */
  private async damagedCases(device: SimDevice): Promise<Set<string>> {
    const { replica, mayRot } = device
    if (!mayRot) return new Set()
    const damaged = new Set(replica.damaged.keys())
    const isRotten = (key: Uint8Array) => void damaged.add(toHex(key.subarray(1, 1 + CASE_KEY_BYTES)))
    for await (const { key, value } of replica.db.rows(rangeOf('c'), isRotten))
      for (const { number } of decodeCase(key.slice(1), value).parts)
        if (!(await replica.db.get(keys.part(key.subarray(1), number)).catch(() => undefined))) isRotten(key)
    return damaged
  }

  /** [I4] */
  private within(device: SimDevice, seen: ReadonlyMap<string, CaseSeen>): void {
    for (const [caseId, { state, tokens }] of seen) {
      // What it came with could not be read: all of it is told to everybody anew.
      if (device.mayRot && state.touched.has(UNKNOWN_LOG)) continue
      for (const token of tokens) {
        const places = this.byToken.get(token) ?? []
        if (device.mayRot && places.length === 0) continue
        if (!places.some(({ log, seq }) => (state.touched.get(log) ?? 0) >= seq))
          this.broken(device, 'I4', `${caseId} contains ${token} beyond its touched vector`)
      }
    }
  }

  /** [I4] What no log of this device holds on its branch must be known to be unclaimed: else it is told to nobody. */
  private async onItsBranch(
    device: SimDevice,
    seen: ReadonlyMap<string, CaseSeen>,
    damaged: ReadonlySet<string>,
  ): Promise<void> {
    const { logs, meta } = device.replica
    const doubts = await readDoubts(device.replica).catch((error: unknown) => {
      if (device.mayRot && isDamage(error)) return undefined
      throw error
    })
    // What is in doubt isn't known then.
    if (!doubts) return
    for (const [caseId, { state, line }] of seen) {
      const isBeyond = [...state.touched].some(([log, seq]) => seq > (logs.get(log)?.seq ?? 0))
      const isDoubted = doubts.some(({ log, base }) => (state.touched.get(log) ?? 0) > base)
      if ((isBeyond || isDoubted) && (meta.unclaimed || doubts.length > 0)) continue
      // What has been kept of a damaged case is told when the rest has come back.
      if (damaged.has(toHex(state.key)) && state.touched.has(UNKNOWN_LOG)) continue
      for (const token of new Set(line.match(TOKEN) ?? [])) {
        const places = this.byToken.get(token) ?? []
        let isHeld = device.mayRot && places.length === 0
        for (const { log, seq, check } of places) {
          const mine = check && (await logs.checkAt(log, seq))
          const isUnknown = !check || (device.mayRot && !mine && seq <= (logs.get(log)?.seq ?? 0))
          if (isUnknown || (mine && equalBytes(mine, check))) isHeld = true
        }
        if (!isHeld) this.broken(device, 'I4', `${caseId} contains ${token} of a branch that is not held`)
      }
    }
  }

  /** [I6] */
  private onlyForward(device: SimDevice, seen: ReadonlyMap<string, CaseSeen>): void {
    const old = this.shown.get(device)
    const shown: Shown = {
      cuts: new Map(),
      erased: new Map(),
      generations: new Map(),
      retained: old?.retained ?? new Map(),
      at: old?.at ?? this.step,
      isFirst: old === undefined,
    }
    for (const { log, cut } of device.replica.logs.all()) if (cut) shown.cuts.set(log, cut.seq)
    for (const [caseId, { state }] of seen) {
      shown.erased.set(caseId, state.erased)
      shown.generations.set(caseId, state.generation)
    }
    for (const [log, seq] of old?.cuts ?? [])
      if ((shown.cuts.get(log) ?? Number.POSITIVE_INFINITY) > seq)
        this.broken(device, 'I6', `has raised the cut of ${short(log)} from ${seq}`)
    for (const [caseId, erased] of old?.erased ?? [])
      if ((shown.erased.get(caseId) ?? 0) < erased)
        this.broken(device, 'I6', `has lost the tombstone of ${caseId}`)
    for (const [caseId, generation] of old?.generations ?? [])
      if ((shown.generations.get(caseId) ?? 0) < generation)
        this.broken(device, 'I6', `has gone back a generation of ${caseId}`)
    this.shown.set(device, shown)
  }

  /** [I9] */
  private dropped(device: SimDevice): void {
    const shown = this.shown.get(device)!
    const isFirst = shown.isFirst
    shown.isFirst = false
    for (const { log, seq, retainedFrom, cut } of device.replica.logs.all()) {
      const before = shown.retained.get(log) ?? { from: 0, to: 0 }
      shown.retained.set(log, { from: retainedFrom, to: seq })
      // Beyond what was held: whole states brought it, and no changes were there to be dropped.
      const isDropped = retainedFrom > before.from && retainedFrom <= before.to
      if (isFirst || !isDropped || cut || this.hasCopies || this.drops || this.rots) continue
      for (const other of this.devices()) {
        if (other === device || !other.alive || (this.since.get(other) ?? 0) >= shown.at) continue
        const held = other.replica.logs.get(log)
        if (!held?.cut && !other.isDurablyCut(log) && other.durableSeq(log) < retainedFrom)
          this.broken(device, 'I9', `has dropped ${short(log)} to ${retainedFrom}, which ${other.name} lacks`)
      }
    }
    shown.at = this.step
  }
}

function isSame(known: Known, change: LogChange): boolean {
  const { caseId, generation, kind, at, payload } = known
  if (caseId !== change.caseId || generation !== change.generation || kind !== change.kind) return false
  return at === change.at && equalBytes(payload, change.payload)
}

function isSameCheck(one: Uint8Array | undefined, other: Uint8Array | undefined): boolean {
  return one === other || (one !== undefined && other !== undefined && equalBytes(one, other))
}

function isCovered(change: Known, seen: CaseSeen | undefined, excused: ReadonlySet<string>): boolean {
  const { kind, generation } = change
  if (kind === KIND_TOMBSTONE) return seen !== undefined && seen.state.erased > generation
  if (kind !== KIND_UPDATE && kind !== KIND_STATE) return true
  const tokens = change.tokens.filter((token) => !excused.has(token))
  if (tokens.length === 0) return true
  if (!seen) return false
  if (generation < seen.state.erased || generation < seen.state.generation) return true
  return tokens.every((token) => seen.tokens.has(token))
}

/** Where the row has rotted that told of an end, a later generation that was begun after it does as well. */
const isSuperseded = ({ kind, generation }: Known, seen: CaseSeen | undefined): boolean =>
  kind === KIND_TOMBSTONE && seen !== undefined && seen.state.generation > generation

/** Lines are kept (`lineOf`), and looked at again and again. */
const tokensByLine = new Map<string, string[]>()
const MOST_LINES = 2_000

function tokensOfLine(line: string): string[] {
  let tokens = tokensByLine.get(line)
  if (!tokens) {
    if (tokensByLine.size >= MOST_LINES) tokensByLine.clear()
    tokens = line.match(TOKEN) ?? []
    tokensByLine.set(line, tokens)
  }
  return tokens
}

function tokensIn(payload: Uint8Array): string[] {
  const raw = decodePayload(nodeNatives, payload, MAX_STATE_BYTES)
  return raw ? (Buffer.from(raw).toString('latin1').match(TOKEN) ?? []) : []
}

/** How those messages begin by which a device says what it holds; the others need not be read for that. */
const SAYING = new Set(
  [
    { $case: 'hello' as const, value: Hello.decode(new Uint8Array(0)) },
    { $case: 'ack' as const, value: Ack.decode(new Uint8Array(0)) },
    { $case: 'take' as const, value: Take.decode(new Uint8Array(0)) },
    { $case: 'claims' as const, value: Claims.decode(new Uint8Array(0)) },
    { $case: 'statements' as const, value: Statements.decode(new Uint8Array(0)) },
  ].map((kind) => encodeFrame(kind)[0]!),
)

const short = (log: LogId) => log.slice(0, 4)
const depositName = (relay: SimRelay, device: SimDevice, number: number) =>
  `${toHex(relay.ed)} ${device.name} ${number}`
