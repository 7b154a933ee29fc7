/**
 * Whose process is at the other end of a loopback connection. Node shows no SO_PEERCRED, but Linux
 * lists the owner of every socket in /proc/net. Elsewhere the token alone defends.
 */
import { readFileSync } from 'node:fs'
import type { Socket } from 'node:net'
import { endianness } from 'node:os'

/** The kernel's table isn't read atomically: an entry can be passed over while others come and go. */
const READS = 3
/** A read takes 10 ms and more. One serves everybody who asks meanwhile, so that many who ask don't fill the processor. */
const READ_INTERVAL_MS = 50
const TABLES = ['/proc/net/tcp', '/proc/net/tcp6']

interface Asked {
  from: number
  to: number
  readsLeft: number
  resolve: (isThisUser: boolean) => void
}

/** Tells whether the peer of a socket belongs to this user; also true where this platform can't tell. */
export function createUserCheck(): (socket: Socket) => Promise<boolean> {
  const self = process.getuid?.()
  if (process.platform !== 'linux' || self === undefined) return async () => true
  const verdicts = new WeakMap<Socket, Promise<boolean>>()
  let asked: Asked[] = []
  let mayReadAt = 0
  let isDue = false
  const readSoon = () => {
    if (!isDue) setTimeout(read, Math.max(0, mayReadAt - performance.now()))
    isDue = true
  }
  const read = () => {
    isDue = false
    const answered = asked
    asked = []
    const tables = TABLES.map(readTable)
    const owners = tables.map((table) => ownersOf(table ?? ''))
    for (const one of answered) {
      const key = keyOf(one.from, one.to)
      const uid = owners[0]!.get(key) ?? owners[1]!.get(key)
      // No table at all: a kernel without procfs. The token still defends.
      if (uid !== undefined || tables.every((table) => table === null)) one.resolve((uid ?? self) === self)
      else if (--one.readsLeft === 0) one.resolve(false)
      else asked.push(one)
    }
    mayReadAt = performance.now() + READ_INTERVAL_MS
    if (asked.length > 0) readSoon()
  }
  return (socket) => {
    const known = verdicts.get(socket)
    if (known) return known
    const verdict = new Promise<boolean>((resolve) => {
      const { remotePort, localPort } = socket
      if (remotePort === undefined || localPort === undefined) return resolve(false)
      asked.push({ from: remotePort, to: localPort, readsLeft: READS, resolve })
      readSoon()
    })
    verdicts.set(socket, verdict)
    return verdict
  }
}

/** The owners of the sockets bound to a port of 127.0.0.1 and connected to another one there. */
export function ownersOf(table: string): Map<string, number> {
  const owners = new Map<string, number>()
  for (const line of table.split('\n').slice(1)) {
    const [, local, remote, , , , , uid] = line.trim().split(/\s+/)
    const [from, to] = [loopbackPort(local), loopbackPort(remote)]
    if (from !== undefined && to !== undefined && !owners.has(keyOf(from, to)))
      owners.set(keyOf(from, to), Number(uid))
  }
  return owners
}

export function keyOf(from: number, to: number): string {
  return `${from} ${to}`
}

/** The kernel prints addresses in its own byte order, 32 bits at a time, and ports as plain hexadecimal. */
const LOOPBACK = endianness() === 'LE' ? ['0100007F', 'FFFF00000100007F'] : ['7F000001', '0000FFFF7F000001']

function loopbackPort(address: string | undefined): number | undefined {
  const [host, port] = address?.split(':') ?? []
  if (host === undefined || port === undefined) return undefined
  const isLoopback = host === LOOPBACK[0] || host === `0000000000000000${LOOPBACK[1]}`
  return isLoopback ? Number.parseInt(port, 16) : undefined
}

function readTable(path: string): string | null {
  try {
    return readFileSync(path, 'latin1')
  } catch {
    return null
  }
}
