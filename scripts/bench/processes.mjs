/** The processes that a bench runs and ends: workers that are asked over IPC, and the program itself. */
import { fork, spawn } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { program } from '../lib/build.mjs'

const running = new Set()
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL')
})
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => process.exit(1))

function keep(child) {
  running.add(child)
  child.once('exit', () => running.delete(child))
  return child
}

/** A worker script of this folder; `call` asks it, `next` waits for what it says unasked. */
export class Worker {
  #asked = new Map()
  #waiting = new Map()
  #number = 0
  #ended

  constructor(script) {
    const path = fileURLToPath(new URL(script, import.meta.url))
    this.child = keep(fork(path, [], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] }))
    this.#ended = new Promise((resolve) => this.child.once('exit', resolve))
    this.child.on('message', (message) => this.#take(message))
    this.child.once('exit', (code) => {
      for (const { reject } of this.#asked.values()) reject(new Error(`${script} ended (${code})`))
    })
  }

  call(method, ...args) {
    return new Promise((resolve, reject) => {
      const number = ++this.#number
      this.#asked.set(number, { resolve, reject })
      this.child.send({ number, method, args })
    })
  }

  /** The next event of a kind. */
  next(kind) {
    return new Promise((resolve) => this.#waiting.set(kind, resolve))
  }

  #take({ number, result, error, event }) {
    if (event) {
      const resolve = this.#waiting.get(event.kind)
      this.#waiting.delete(event.kind)
      return resolve?.(event)
    }
    const { resolve, reject } = this.#asked.get(number)
    this.#asked.delete(number)
    if (error === undefined) resolve(result)
    else reject(new Error(error))
  }

  /** Lets it stop what it has open, and waits until it is gone. */
  async end() {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return
    await this.call('stop').catch(() => {})
    this.child.disconnect()
    const timer = setTimeout(() => this.child.kill('SIGKILL'), 10_000)
    await this.#ended
    clearTimeout(timer)
  }
}

/**
 * The built program as a process of its own. `line` resolves with its first line of output. With `profile`, a
 * folder, a CPU profile is left there at its end.
 */
export function startProgram(args, profile) {
  const flags = profile ? ['--cpu-prof', `--cpu-prof-dir=${profile}`, '--cpu-prof-interval=200'] : []
  const stdio = ['ignore', 'pipe', 'inherit']
  const child = keep(spawn(process.execPath, [...flags, program, ...args], { stdio }))
  const ended = new Promise((resolve) => child.once('exit', resolve))
  const line = new Promise((resolve, reject) => {
    let text = ''
    child.stdout.setEncoding('utf8').on('data', (part) => {
      text += part
      if (text.includes('\n')) resolve(text.slice(0, text.indexOf('\n')))
    })
    void ended.then(() => reject(new Error('the program ended before it was ready')))
  })
  line.catch(() => {})
  const end = async () => {
    child.kill('SIGTERM')
    const timer = setTimeout(() => child.kill('SIGKILL'), 30_000)
    await ended
    clearTimeout(timer)
  }
  return { pid: child.pid, line, end }
}

/** The most memory that a process has ever held, in MB. */
export function peakMegabytes(pid) {
  return Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024
}

/** CPU time of all threads of a process, in ms; finer than the clock ticks of its other counters. */
export function cpuMilliseconds(pid) {
  let sum = 0
  for (const task of readdirSync(`/proc/${pid}/task`)) {
    sum += Number(readFileSync(`/proc/${pid}/task/${task}/schedstat`, 'utf8').split(' ')[0])
  }
  return sum / 1e6
}

/** Bytes that a process has handed to the disk. */
export function writtenBytes(pid) {
  return Number(/^write_bytes: (\d+)/m.exec(readFileSync(`/proc/${pid}/io`, 'utf8'))?.[1])
}
