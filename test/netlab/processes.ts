/** Relays and devices of the lab, each a process in its namespace. */
import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { afterEach } from 'vitest'
import { type Lab, RELAY_ADDRESS, type Side } from './lab.js'

const START_TIMEOUT_MS = 60_000
const LISTEN = '/ip4/0.0.0.0/tcp/4500'

const running = new Set<ChildProcess>()

afterEach(async () => {
  await Promise.all([...running].map((child) => end(child)))
})
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL')
})

export async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const ended = new Promise((resolve) => child.once('close', resolve))
  child.kill('SIGKILL')
  await ended
}

export interface DeviceState {
  path: string
  relays: { state: string; circuit: boolean }[]
  made: number
  confirmed: number
  received: number
  gaps: number
}

/** A process that says one JSON value a line. */
export class Talker<First, Later = First> {
  readonly child: ChildProcess
  readonly first: Promise<First>
  last: Later | undefined
  #errors = ''

  constructor(namespace: string, script: string, args: string[]) {
    const file = fileURLToPath(new URL(script, import.meta.url))
    this.child = spawn('ip', ['netns', 'exec', namespace, process.execPath, file, ...args], { stdio: 'pipe' })
    running.add(this.child)
    this.child.on('close', () => running.delete(this.child))
    this.child.stdin?.on('error', () => {})
    this.child.stderr?.on('data', (text) => {
      this.#errors += text
    })
    this.first = new Promise((resolve, reject) => {
      let isFirst = true
      createInterface(this.child.stdout!).on('line', (line) => {
        if (isFirst) resolve(JSON.parse(line))
        else this.last = JSON.parse(line)
        isFirst = false
      })
      this.child.on('close', (code) => reject(new Error(`${script} ended with ${code}: ${this.#errors}`)))
      setTimeout(
        () => reject(new Error(`${script} did not start: ${this.#errors}`)),
        START_TIMEOUT_MS,
      ).unref()
    })
    this.first.catch(() => {})
  }

  tell(command: object): void {
    this.child.stdin?.write(`${JSON.stringify(command)}\n`)
  }

  get errors(): string {
    return this.#errors
  }
}

export class LabDevice extends Talker<{ id: string }, DeviceState> {
  constructor(lab: Lab, side: Side) {
    super(lab.device(side), './device.mjs', [randomBytes(32).toString('hex'), LISTEN])
  }

  /** Stops as a device does, and says how the process ended, or that it did not. */
  async stop(timeoutMs = 10_000): Promise<number | null | 'never'> {
    const ended = new Promise<number | null>((resolve) => this.child.once('close', resolve))
    this.tell({ stop: true })
    const never = sleep(timeoutMs, 'never' as const, { ref: false })
    return Promise.race([ended, never])
  }
}

export interface Cast {
  a: LabDevice
  b: LabDevice
}

/** A relay and two devices that are to meet. */
export async function startCast(lab: Lab, circuit: 'offered' | 'refused'): Promise<Cast> {
  const relay = new Talker<{ addresses: string[] }>(lab.relay, './relay.mjs', [RELAY_ADDRESS, circuit])
  const [a, b] = [new LabDevice(lab, 'a'), new LabDevice(lab, 'b')]
  const [{ addresses }, one, other] = await Promise.all([relay.first, a.first, b.first])
  for (const device of [a, b]) device.tell({ relay: addresses })
  a.tell({ meet: other.id })
  b.tell({ meet: one.id })
  return { a, b }
}

/** Waits until all of the devices are in such a state; returns how long it took. */
export async function untilAll(
  { a, b }: Cast,
  condition: (state: DeviceState) => boolean,
  timeoutMs: number,
): Promise<number> {
  const began = performance.now()
  for (;;) {
    if ([a, b].every(({ last }) => last !== undefined && condition(last))) return performance.now() - began
    if (performance.now() - began > timeoutMs) {
      const states = [a, b].map(({ last, errors }) => JSON.stringify(last) + errors)
      throw new Error(`waited in vain:\n${states.join('\n')}`)
    }
    await sleep(50)
  }
}

/** Everything that both have made until now arrives, once and in order. */
export async function untilAllArrived(cast: Cast, timeoutMs = 20_000): Promise<void> {
  const made = Math.max(cast.a.last?.made ?? 0, cast.b.last?.made ?? 0)
  await untilAll(
    cast,
    ({ received, confirmed, gaps }) => received >= made && confirmed >= made && gaps === 0,
    timeoutMs,
  )
}
