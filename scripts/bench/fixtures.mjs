/** What several measures share: the folder of a run, the merged updates of the workload, devices that are paired. */
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { root } from '../lib/build.mjs'
import { Worker } from './processes.mjs'
import { caseLines, makeCase } from './workload.mjs'

export const PIN = 'tulipan-7'
/** Nothing more of a meeting is said after so long: statements wait for two quiet seconds. */
export const SETTLED_MS = 2_500

/** The length before each merged update. */
const HEAD_BYTES = 4

export const say = (text) => process.stderr.write(`${text}\n`)

export function median(values) {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = Math.floor(sorted.length / 2)
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

export function percentile(values, share) {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.ceil(sorted.length * share) - 1)]
}

export function folderBytes(folder) {
  let sum = 0
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name)
    sum += entry.isDirectory() ? folderBytes(path) : statSync(path).size
  }
  return sum
}

/** Devices are bundled as the program is: a thousand modules take more memory than a few files. */
function bundleDevice() {
  const bundle = fileURLToPath(new URL('../lib/bundle.mjs', import.meta.url))
  execFileSync(process.execPath, [bundle, 'scripts/bench/device-process.mjs', 'dist/bench/node'], {
    cwd: root,
    stdio: ['ignore', 2, 2],
  })
  return '../../dist/bench/node/device-process.js'
}

class Device {
  id = ''
  addresses = []

  constructor(folder, script, isKept) {
    this.folder = folder
    this.isKept = isKept
    this.script = script
    this.worker = new Worker(script)
  }

  async start(options = {}) {
    Object.assign(this, await this.worker.call('start', this.folder, options))
    return this
  }

  call(method, ...args) {
    return this.worker.call(method, ...args)
  }

  ask(path, input) {
    return this.worker.call('ask', path, input)
  }

  /** Closes the device; its process stays, warm, for the next start. */
  close() {
    return this.worker.call('stop')
  }

  async end() {
    await this.worker.end()
  }

  /** The same folder in a process that has done nothing yet. */
  async restart() {
    await this.end()
    this.worker = new Worker(this.script)
    return this.start()
  }
}

/** Lets `newcomer` into the practice of `host`. */
export async function admit(host, newcomer, name) {
  const { code } = await host.ask('device.invite', { pin: PIN, minutes: 10, yes: true })
  await newcomer.ask('practice.join', { code, addresses: host.addresses, relays: [], device: name, pin: PIN })
}

/** A run of the bench: its folder, and what one measure leaves for the next. */
export class Bench {
  #folder = mkdtempSync(join(tmpdir(), 'kartoteka-bench-'))
  #pairs = new Map()
  #merged = new Map()
  #devices = new Set()
  #folders = 0
  /** Bytes on disk of devices that hold so many cases: the author's first, then a newcomer's of each run. */
  disks = new Map()

  constructor(options) {
    // Also of a run that is broken off.
    process.once('exit', () => rmSync(this.#folder, { recursive: true, force: true }))
    this.runs = options.runs
    /** Of M10. */
    this.devices = options.devices
    if (options.keep) mkdirSync(options.keep, { recursive: true })
    this.keep = options.keep
    this.profile = options.profile
    // A profile tells more of files as they were written.
    this.script = options.profile ? 'device-process.mjs' : bundleDevice()
  }

  newFolder(name) {
    return join(this.#folder, `${name}-${++this.#folders}`)
  }

  /** `kept`: a folder that outlives this run. */
  device(name, kept) {
    const device = new Device(kept ?? this.newFolder(name), this.script, kept !== undefined)
    this.#devices.add(device)
    return device
  }

  async endDevice(device) {
    this.#devices.delete(device)
    await device.end()
    if (!device.isKept) rmSync(device.folder, { recursive: true, force: true })
  }

  /**
   * A practice of one device that holds `count` cases; the device is started anew after the import. One that is kept
   * is used again, with a device more for each newcomer that it let in; an import that was broken off goes on.
   */
  async author(count) {
    const kept = this.keep && count > 0 ? join(this.keep, `author-${count}`) : undefined
    const isNew = !kept || !existsSync(kept)
    const author = await this.device('author', kept).start()
    if (isNew) await author.ask('practice.create', { name: 'Bench', device: 'Author', pin: PIN })
    const { total } = (await author.ask('status')).cases
    if (total < count) {
      say(`  importing ${count - total} cases …`)
      await author.call('importWorkload', count, total)
    }
    await author.end()
    this.disks.set(count, [folderBytes(join(author.folder, 'store'))])
    author.worker = new Worker(this.script)
    return author.start()
  }

  /** Two devices that hold the same `count` cases, connected. Kept for the measures that follow. */
  async pair(count) {
    const known = this.#pairs.get(count)
    if (known) return known
    const a = await this.author(count)
    const b = await this.device('other').start()
    await admit(a, b, 'Other')
    await a.call('whenPeerUpToDate', b.id)
    return this.keepPair(count, { a, b })
  }

  async keepPair(count, pair) {
    await sleep(SETTLED_MS)
    this.#pairs.set(count, pair)
    return pair
  }

  async endPair(count) {
    const pair = this.#pairs.get(count)
    this.#pairs.delete(count)
    if (pair) for (const device of Object.values(pair)) await this.endDevice(device)
  }

  /** The workload as one Yjs update a case, in a file, each with its length before it. */
  async merged(count) {
    const known = this.#merged.get(count)
    if (known) return known
    const { createUpdate } = await import('../../dist/src/cases/create.js')
    const { parseCase } = await import('../../dist/src/cases/interchange.js')
    const sha256 = (bytes) => Uint8Array.from(createHash('sha256').update(bytes).digest())
    const kept = this.keep && join(this.keep, `merged-${count}`)
    const file = kept ?? this.newFolder('merged')
    if (!existsSync(file)) {
      const part = `${file}.part`
      const fd = openSync(part, 'w')
      for (const line of caseLines(count)) {
        const parsed = parseCase(line)
        const update = createUpdate(parsed.value, sha256)
        const head = Buffer.alloc(HEAD_BYTES)
        head.writeUInt32LE(update.length)
        writeSync(fd, Buffer.concat([head, update]))
      }
      closeSync(fd)
      renameSync(part, file)
    }
    const merged = { file, bytes: statSync(file).size - count * HEAD_BYTES }
    this.#merged.set(count, merged)
    return merged
  }

  async close() {
    for (const device of this.#devices) await device.end().catch(() => {})
    rmSync(this.#folder, { recursive: true, force: true, maxRetries: 5 })
  }
}

export const caseId = (index) => makeCase(index).id
