import { toHex } from '../../src/protocol/bytes.js'
import type { Random } from '../../src/protocol/natives.js'
import type { JoinEffect, JoinInput } from '../../src/protocol/pairing-join.js'
import { Joining } from '../../src/protocol/pairing-join.js'
import { decodePairFrame, encodePairFrame, type FrameKind } from '../../src/protocol/pairing-rules.js'
import { PairingWindow } from '../../src/protocol/pairing-window.js'
import type { WindowEffect, WindowEvent } from '../../src/protocol/pairing-window-events.js'
import { pinToBytes } from '../../src/protocol/pin.js'
import type { Roster } from '../../src/protocol/roster.js'
import { addDevice } from '../../src/protocol/roster-write.js'
import { must, natives, type TestDevice, writing } from './roster-helpers.js'

export const PIN = '482913'

/** A frame as it comes out of the other end of a stream. */
export function overTheWire(frame: FrameKind): FrameKind | undefined {
  return decodePairFrame(encodePairFrame(frame))
}

/** The existing device and its driver: durable things happen when `settle` is called. */
export class Existing {
  window: PairingWindow
  readonly log: WindowEffect[] = []
  private pending: WindowEvent[] = []
  /** Frames for each session, until a test delivers them. */
  readonly out = new Map<number, FrameKind[]>()
  /** What is durable: the count of tries, as a crash would find it. */
  durableTries = 0

  constructor(
    private readonly random: Random,
    readonly device: TestDevice,
    public roster: Roster,
    private readonly answer: 'add' | 'not-mine' | 'silent' = 'add',
    pin = PIN,
  ) {
    this.window = new PairingWindow({
      natives,
      random,
      ed: device.ed,
      pin: pinToBytes(pin),
      practiceId: roster.practiceId,
      addresses: ['/ip4/192.0.2.1/tcp/1'],
    })
    this.perform(this.window.step({ kind: 'open' }))
  }

  frame(session: number, remote: Uint8Array, frame: FrameKind | undefined): void {
    this.perform(this.window.step({ kind: 'frame', session, remote, roster: this.roster, frame }))
  }

  event(event: WindowEvent): void {
    this.perform(this.window.step(event))
  }

  /** Everything that was asked of disk and person happens. */
  settle(): void {
    for (let next = this.pending.shift(); next; next = this.pending.shift()) this.event(next)
  }

  has(kind: WindowEffect['kind']): number {
    return this.log.filter((effect) => effect.kind === kind).length
  }

  private perform(effects: WindowEffect[]): void {
    for (const effect of effects) {
      this.log.push(effect)
      if (effect.kind === 'send') {
        this.out.set(effect.session, [...(this.out.get(effect.session) ?? []), effect.frame])
      } else if (effect.kind === 'count-try') {
        this.durableTries = effect.used
        this.pending.push({ kind: 'counted', session: effect.session, roster: this.roster })
      } else if (effect.kind === 'refund-try') {
        this.durableTries = effect.used
      } else if (effect.kind === 'ask' && this.answer !== 'silent') {
        this.pending.push({ kind: 'answered', session: effect.session, add: this.answer === 'add' })
      } else if (effect.kind === 'enrol') {
        const written = must(addDevice(writing(this.random, this.roster, this.device), effect.device))
        this.roster = written.roster
        this.pending.push({ kind: 'enrolled', session: effect.session, roster: this.roster })
      }
    }
  }
}

/** One attempt of a new device. */
export class Attempt {
  readonly joining: Joining
  readonly log: JoinEffect[] = []
  readonly out: FrameKind[] = []

  constructor(
    random: Random,
    readonly device: TestDevice,
    existing: TestDevice,
    readonly session: number,
    options: { pin?: string; code?: string; spent?: Map<string, number> } = {},
  ) {
    const input: JoinInput = {
      natives,
      random,
      device,
      pin: pinToBytes(options.pin ?? PIN),
      remote: existing.ed,
      addresses: ['/ip4/192.0.2.9/tcp/9'],
      spent: options.spent ?? new Map(),
    }
    if (options.code !== undefined) input.code = options.code
    this.joining = new Joining(input)
    this.step({ kind: 'start' })
  }

  step(event: Parameters<Joining['step']>[0]): void {
    for (const effect of this.joining.step(event)) {
      this.log.push(effect)
      if (effect.kind === 'send') this.out.push(effect.frame)
    }
  }

  find<K extends JoinEffect['kind']>(kind: K): (JoinEffect & { kind: K }) | undefined {
    return this.log.find((effect) => effect.kind === kind) as (JoinEffect & { kind: K }) | undefined
  }
}

export type Tamper = (frame: FrameKind, to: 'existing' | 'new') => FrameKind | undefined

/** Carries frames both ways until nothing moves. `tamper` may change a frame, or lose it. */
export function run(existing: Existing, attempt: Attempt, tamper: Tamper = (frame) => frame): void {
  const { session, device } = attempt
  for (let moved = true; moved; ) {
    moved = false
    const toExisting = attempt.out.splice(0)
    const toNew = existing.out.get(session) ?? []
    existing.out.set(session, [])
    for (const frame of toExisting) {
      moved = true
      const carried = tamper(frame, 'existing')
      if (carried) existing.frame(session, device.ed, overTheWire(carried))
    }
    existing.settle()
    for (const frame of toNew) {
      moved = true
      const carried = tamper(frame, 'new')
      if (carried) attempt.step({ kind: 'frame', frame: overTheWire(carried) })
    }
    if (attempt.find('store') && !attempt.find('joined') && !attempt.joining.ended)
      attempt.step({ kind: 'stored' })
    moved ||= attempt.out.length > 0 || (existing.out.get(session)?.length ?? 0) > 0
  }
}

export function spend(spent: Map<string, number>, attempt: Attempt): void {
  for (const effect of attempt.log) {
    if (effect.kind === 'spend') spent.set(effect.window, (spent.get(effect.window) ?? 0) + 1)
  }
}

export const windowHex = (existing: Existing): string => toHex(existing.window.id)
