/** Sockets that mean ill: they come in hundreds, say nothing or half of something, and come back when they are ended. */
import { readFileSync } from 'node:fs'
import { createConnection, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterwards } from './processes.js'

/** How soon one that was ended is back. */
const BACK_MS = 50
const PAGE_BYTES = 4096
const TICKS_PER_S = 100

const line = (text: string) => `${String.fromCharCode(text.length + 1)}${text}\n`
const MULTISTREAM = line('/multistream/1.0.0')
/** A Noise message of which a third comes. */
const HALF_NOISE = '\x00\x20half of it'
const REQUEST = 'GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n'
const UPGRADE = `${REQUEST}Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n`

/** What is said to a port of libp2p over TCP, and no more follows. */
export const TCP_BAITS = ['', MULTISTREAM.slice(0, 9), MULTISTREAM + line('/noise') + HALF_NOISE]
/** To one over WebSocket. */
export const WS_BAITS = ['', REQUEST, UPGRADE]

export interface FloodOptions {
  port: number
  count: number
  /** Each socket says one of these, byte for byte. */
  baits: readonly string[]
  /** One of the addresses of loopback. */
  from?: string
  /** Goes on with a byte now and then, as a slow line would. */
  trickles?: boolean
}

export class Flood {
  /** How often a socket was ended by the other side. */
  ended = 0
  private readonly sockets = new Set<Socket>()
  private stopped = false

  constructor(private readonly options: FloodOptions) {
    for (let at = 0; at < options.count; at++) this.open(at)
    afterwards(() => this.stop())
  }

  /** Those that stand. */
  get size(): number {
    return [...this.sockets].filter(({ connecting, destroyed }) => !connecting && !destroyed).length
  }

  stop(): void {
    this.stopped = true
    for (const socket of this.sockets) socket.destroy()
  }

  private open(at: number): void {
    if (this.stopped) return
    const { port, baits, from = '127.0.0.1', trickles = false } = this.options
    const socket = createConnection({ host: '127.0.0.1', port, localAddress: from })
    this.sockets.add(socket)
    socket.on('error', () => {})
    socket.on('connect', () => {
      socket.setNoDelay(true)
      socket.write(Buffer.from(baits[at % baits.length]!, 'latin1'))
    })
    // What the other side says is not read.
    socket.pause()
    const trickle = trickles ? setInterval(() => socket.write('a'), 1_000) : undefined
    socket.on('close', () => {
      clearInterval(trickle)
      this.sockets.delete(socket)
      if (this.stopped) return
      this.ended++
      setTimeout(() => this.open(at), BACK_MS).unref()
    })
  }
}

export interface Usage {
  rssMb: number
  cpuS: number
}

/** What a process takes up; undefined where the system does not tell. */
export function usageOf(pid: number): Usage | undefined {
  try {
    const pages = Number(readFileSync(`/proc/${pid}/statm`, 'utf8').split(' ')[1])
    const times = readFileSync(`/proc/${pid}/stat`, 'utf8')
      .replace(/^.*\) /s, '')
      .split(' ')
    const cpuS = (Number(times[11]) + Number(times[12])) / TICKS_PER_S
    return { rssMb: (pages * PAGE_BYTES) / 1e6, cpuS }
  } catch {
    return undefined
  }
}

/** What a process takes while nothing happens but what others do to it. */
export async function usageOver(
  pid: number,
  ms: number,
): Promise<{ rssMb: number; cpuShare: number } | undefined> {
  const before = usageOf(pid)
  await sleep(ms)
  const after = usageOf(pid)
  if (!before || !after) return undefined
  return { rssMb: after.rssMb, cpuShare: (after.cpuS - before.cpuS) / (ms / 1000) }
}

/** What is said to a window's port, and then a byte now and then. */
export function httpBaits(host: string): string[] {
  const begin = (what: string) => `${what} HTTP/1.1\r\nHost: ${host}\r\n`
  return [
    '',
    'GE',
    `${begin('GET /')}X-A: `,
    `${begin('POST /token')}Origin: http://${host}\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n`,
    `${begin('GET /')}\r\n`,
    `${begin('GET /link')}Upgrade: websocket\r\nConnection: Upgrade\r\nX-A: `,
  ]
}
