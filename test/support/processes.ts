/**
 * Real processes of the built program, each with a folder of its own. Whatever a test leaves behind (processes,
 * links, mounts, folders) is gone after it.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { afterEach, vi } from 'vitest'
import { connectLink } from '../../src/node/link-client.js'
import type { Client } from '../../src/node/router.js'

const PROGRAM = fileURLToPath(new URL('../../dist/program/node/cli.js', import.meta.url))
const LOOPBACK = '/ip4/127.0.0.1/tcp/0'
/** Generous on purpose: machines that run tests are busy. */
const COMMAND_TIMEOUT_MS = 120_000
const READY_TIMEOUT_MS = 60_000
/** Imported in one call. */
const IMPORT_LINES = 500

/** Of a test: real processes. Beside ten times as much other work as a machine has cores for, some take three minutes. */
const TEST_TIMEOUT_MS = 600_000

vi.setConfig({ testTimeout: TEST_TIMEOUT_MS, hookTimeout: TEST_TIMEOUT_MS })

export const PIN = 'tulipan-7'

export interface Outcome {
  code: number | null
  stdout: string
  stderr: string
  /** Standard output, if it is one JSON value and nothing else. */
  json: unknown
}

export interface RunOptions {
  stdin?: string
  /** The command runs in this network namespace. */
  netns?: string | undefined
  env?: Record<string, string>
  /** The command with which it is run, as `nice` is. Its process must become the program's. */
  under?: string[] | undefined
}

export interface Running {
  child: ChildProcess
  pid: number
  seen: { stdout: string; stderr: string }
  ended: Promise<Outcome>
}

const running = new Set<ChildProcess>()
const cleanups: (() => unknown)[] = []
const folders: string[] = []

/** Runs after the test, in reverse order, when its processes are gone. */
export function afterwards(cleanup: () => unknown): void {
  cleanups.push(cleanup)
}

afterEach(async () => {
  await Promise.all([...running].map(endChild))
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
})
// A run that is broken off runs no hooks.
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL')
})

export function tempFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'kartoteka-e2e-'))
  folders.push(folder)
  return folder
}

/** A file in a folder of its own. */
export function tempFile(name: string, content: string | Uint8Array): string {
  const file = join(tempFolder(), name)
  writeFileSync(file, content)
  return file
}

let pinFiles = new Map<string, string>()
afterEach(() => {
  pinFiles = new Map()
})

export function pinFile(pin = PIN): string {
  const file = pinFiles.get(pin) ?? tempFile('pin', pin)
  pinFiles.set(pin, file)
  return file
}

export function begin(args: string[], options: RunOptions = {}): Running {
  if (!existsSync(PROGRAM)) throw new Error(`${PROGRAM} is missing: npm run build`)
  const command = [process.execPath, PROGRAM, ...args]
  const netns = options.netns === undefined ? [] : ['ip', 'netns', 'exec', options.netns]
  const inside = [...netns, ...(options.under ?? []), ...command]
  const child = spawn(inside[0]!, inside.slice(1), {
    env: { PATH: process.env.PATH, HOME: tmpdir(), ...options.env },
    stdio: ['pipe', 'pipe', 'pipe'],
  })
  running.add(child)
  child.stdin!.on('error', () => {})
  child.stdin!.end(options.stdin ?? '')
  const seen = { stdout: '', stderr: '' }
  child.stdout!.setEncoding('utf8').on('data', (text: string) => {
    seen.stdout += text
  })
  child.stderr!.setEncoding('utf8').on('data', (text: string) => {
    seen.stderr += text
  })
  const ended = new Promise<Outcome>((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code) => {
      running.delete(child)
      resolve({ code, ...seen, json: parsed(seen.stdout) })
    })
  })
  ended.catch(() => {})
  return { child, pid: child.pid!, seen, ended }
}

/** Runs a command to its end, with exactly these arguments. */
export async function kartoteka(args: string[], options: RunOptions = {}): Promise<Outcome> {
  const { child, ended, seen } = begin(args, options)
  const timer = setTimeout(() => child.kill('SIGKILL'), COMMAND_TIMEOUT_MS)
  try {
    const outcome = await ended
    if (child.signalCode === 'SIGKILL')
      throw new Error(`kartoteka ${args.join(' ')} never ended: ${seen.stdout}${seen.stderr}`)
    return outcome
  } finally {
    clearTimeout(timer)
  }
}

/** Runs a command on a folder with `--json`. */
export function run(folder: string, args: string[], options: RunOptions = {}): Promise<Outcome> {
  return kartoteka([...args, '--data', folder, '--json'], options)
}

/** The JSON value of a command that must succeed. */
export async function ok<T>(folder: string, args: string[], options: RunOptions = {}): Promise<T> {
  const outcome = await run(folder, args, options)
  if (outcome.code !== 0)
    throw new Error(`kartoteka ${args.join(' ')}: exit ${outcome.code}: ${outcome.stdout}${outcome.stderr}`)
  return outcome.json as T
}

export interface Refusal {
  code: string
  sentence: string
}

/** The refusal of a command that must fail: exit 1, one JSON value, and its sentence on standard error. */
export async function refused(folder: string, args: string[], options: RunOptions = {}): Promise<Refusal> {
  return refusalOf(await run(folder, args, options), args)
}

export function refusalOf(outcome: Outcome, args: string[] = []): Refusal {
  const { error } = (outcome.json ?? {}) as { error?: Refusal }
  const last = outcome.stderr.trimEnd().split('\n').at(-1)
  if (outcome.code !== 1 || !error || last !== error.sentence || !/^\S.*[.…]$/s.test(error.sentence))
    throw new Error(
      `kartoteka ${args.join(' ')}: no clear refusal: ${outcome.code} ${outcome.stdout}${outcome.stderr}`,
    )
  return error
}

export interface DeviceOptions {
  folder?: string
  /** In place of a port of the system's choice on loopback; null: the default listeners. */
  listen?: string[] | null
  lan?: boolean
  netns?: string
  /** Of the device's process, not of the commands that talk to it; read again at each start. */
  env?: Record<string, string>
  /** As in `RunOptions`, of the device's process; read again at each start. */
  under?: string[]
}

/** A device that runs as a process, and can be killed and started again at the same address. */
export class TestDevice {
  readonly folder: string
  id = ''
  url = ''
  addresses: string[] = []
  private process: Running | undefined
  private client: Client | undefined

  constructor(private readonly options: DeviceOptions) {
    this.folder = options.folder ?? join(tempFolder(), 'data')
  }

  get pid(): number {
    if (!this.process) throw new Error('the device does not run')
    return this.process.pid
  }

  /** Only commands reach it: it does not run, or does so in another network namespace. */
  get isElsewhere(): boolean {
    return this.options.netns !== undefined || !this.isAlive
  }

  get address(): string {
    return this.addresses[0]!
  }

  get isAlive(): boolean {
    return this.process !== undefined && running.has(this.process.child)
  }

  get stderr(): string {
    return this.process?.seen.stderr ?? ''
  }

  /** Resolves when the device says that it is ready. */
  async start(): Promise<this> {
    const { lan = false, netns, env = {}, under } = this.options
    const process = begin([...this.startArgs(lan), '--data', this.folder, '--json'], { netns, env, under })
    this.process = process
    let early: Outcome | undefined
    void process.ended.then((outcome) => {
      early = outcome
    })
    await until(() => process.seen.stdout.includes('\n') || early !== undefined, READY_TIMEOUT_MS)
    if (early) throw new Error(`the device did not start: ${early.stdout}${early.stderr}`)
    const ready = JSON.parse(process.seen.stdout) as {
      url: string
      device: string
      addresses: string[]
      error?: Refusal
    }
    if (ready.error) throw new Error(`the device did not start: ${process.seen.stdout}`)
    this.id = ready.device
    this.url = ready.url
    this.addresses = ready.addresses
    return this
  }

  private startArgs(lan: boolean): string[] {
    const { listen = [LOOPBACK] } = this.options
    // Others know where it was.
    const again = this.addresses.map((address) => address.replace(/\/p2p\/.*$/, ''))
    const addresses = listen === null ? [] : again.length > 0 ? again : listen
    return [
      'start',
      '--no-window',
      ...(lan ? [] : ['--no-lan']),
      ...addresses.flatMap((address) => ['--listen', address]),
    ]
  }

  /** As a power cut does, but that what the system took is written. */
  async kill(): Promise<void> {
    this.client = undefined
    if (this.process) await endChild(this.process.child)
    this.process = undefined
  }

  async stop(): Promise<void> {
    this.client = undefined
    const { process } = this
    await this.ok('stop')
    await process?.ended
    this.process = undefined
  }

  run(...args: string[]): Promise<Outcome> {
    return run(this.folder, args, { netns: this.options.netns })
  }

  ok<T>(...args: string[]): Promise<T> {
    return ok<T>(this.folder, args, { netns: this.options.netns })
  }

  refused(...args: string[]): Promise<Refusal> {
    return refused(this.folder, args, { netns: this.options.netns })
  }

  /** It has begun anew: what was connected to it is not any more. */
  forgetLink(): void {
    this.client = undefined
  }

  /** What the command line uses to reach it: thousands of calls without as many processes. */
  async link(): Promise<Client> {
    if (this.client) return this.client
    const link = await connectLink(this.folder)
    if (!link) throw new Error(`no link to the device: ${this.stderr}`)
    afterwards(() => link.close())
    this.client = link.client
    return link.client
  }
}

export function startDevice(options: DeviceOptions = {}): Promise<TestDevice> {
  return new TestDevice(options).start()
}

// By link and not by command, as the window does: the commands of the same names have tests of their own.

export async function createPractice(device: TestDevice, name = 'Desk'): Promise<void> {
  await (await device.link()).practice.create({ name: 'Gabinet', device: name })
}

export async function openInvite(device: TestDevice): Promise<{ code: string; invitation: string }> {
  return (await device.link()).device.invite({ pin: PIN, yes: true })
}

export async function joinPractice(device: TestDevice, inviter: TestDevice, name = 'Laptop'): Promise<void> {
  const [client] = await Promise.all([device.link(), openInvite(inviter)])
  await client.practice.join({ addresses: [inviter.address], device: name, pin: PIN })
}

/** Two devices of one practice, connected. */
export async function startPair(first: DeviceOptions = {}): Promise<[TestDevice, TestDevice]> {
  const pair = await Promise.all([startDevice(first), startDevice()])
  await createPractice(pair[0])
  await joinPractice(pair[1], pair[0])
  return pair
}

/** What `case export` writes, of a running device. */
export async function exported(device: TestDevice, only?: string[]): Promise<string> {
  if (device.isElsewhere) {
    const file = join(tempFolder(), 'export.jsonl')
    await device.ok('case', 'export', file, ...(only ? ['--only', ...only] : []))
    return readFileSync(file, 'utf8')
  }
  const client = await device.link()
  const lines: string[] = []
  for (let after: string | undefined; ; ) {
    const page = await client.cases.export({ only, after })
    lines.push(...page.lines)
    if (!page.more || page.last === null) return lines.map((line) => `${line}\n`).join('')
    after = page.last
  }
}

export async function synced(device: TestDevice, seconds = 100): Promise<void> {
  if (device.isElsewhere) {
    await device.ok('status', '--wait', 'synced', '--timeout', String(seconds))
    return
  }
  const { met, status } = await (await device.link()).wait({ for: 'synced', timeoutSeconds: seconds })
  if (!met) throw new Error(`not synced in ${seconds} s: ${JSON.stringify(status)}`)
}

/** Imports what a file of `case import` would hold; every line has to be taken. */
export async function imported(device: TestDevice, lines: string): Promise<{ added: number }> {
  if (device.isElsewhere) return device.ok('case', 'import', tempFile('cases.jsonl', lines))
  const client = await device.link()
  const texts = lines.trimEnd().split('\n')
  let added = 0
  for (let from = 0; from < texts.length; from += IMPORT_LINES) {
    const portion = texts.slice(from, from + IMPORT_LINES).map((text, at) => ({ line: from + at + 1, text }))
    const report = await client.cases.import({ lines: portion })
    if (report.errors.length > 0) throw new Error(`not imported: ${JSON.stringify(report.errors)}`)
    added += report.added
  }
  await client.flush()
  return { added }
}

export async function until(
  condition: () => boolean | Promise<boolean>,
  timeoutMs = 60_000,
  pollMs = 10,
): Promise<void> {
  const deadline = performance.now() + timeoutMs
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error('waited in vain')
    await sleep(pollMs)
  }
}

async function endChild(child: ChildProcess): Promise<void> {
  if (!running.has(child)) return
  const closed = new Promise((resolve) => child.once('close', resolve))
  child.kill('SIGKILL')
  await closed
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
