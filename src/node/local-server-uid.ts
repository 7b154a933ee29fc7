/**
 * Whose process is at the other end of a loopback connection. Node shows no SO_PEERCRED, but Linux
 * lists the owner of every socket in /proc/net. Elsewhere the token alone defends.
 */
import { readFileSync } from 'node:fs'
import type { Socket } from 'node:net'
import { endianness } from 'node:os'

/** The kernel's table isn't read atomically: an entry can be passed over while others come and go. */
const READS = 3

/** true if the peer belongs to this user, or if this platform can't tell. */
export function peerIsThisUser(socket: Socket): boolean {
  const self = process.getuid?.()
  if (process.platform !== 'linux' || self === undefined) return true
  const { remotePort, localPort } = socket
  if (remotePort === undefined || localPort === undefined) return false
  for (let read = 0; read < READS; read++) {
    const tables = ['/proc/net/tcp', '/proc/net/tcp6'].map(readTable)
    // No table at all: a kernel without procfs. The token still defends.
    if (tables.every((table) => table === null)) return true
    for (const table of tables) {
      const uid = table === null ? null : uidOfConnection(table, remotePort, localPort)
      if (uid !== null) return uid === self
    }
  }
  return false
}

/** The owner of the socket bound to 127.0.0.1:`from` and connected to 127.0.0.1:`to`, or null. */
export function uidOfConnection(table: string, from: number, to: number): number | null {
  for (const line of table.split('\n').slice(1)) {
    const [, local, remote, , , , , uid] = line.trim().split(/\s+/)
    if (isLoopback(local, from) && isLoopback(remote, to)) return Number(uid)
  }
  return null
}

/** The kernel prints addresses in its own byte order, 32 bits at a time, and ports as plain hexadecimal. */
const LOOPBACK = endianness() === 'LE' ? ['0100007F', 'FFFF00000100007F'] : ['7F000001', '0000FFFF7F000001']

function isLoopback(address: string | undefined, port: number): boolean {
  const [host, hexPort] = address?.split(':') ?? []
  if (host === undefined || hexPort === undefined || Number.parseInt(hexPort, 16) !== port) return false
  return host === LOOPBACK[0] || host === `0000000000000000${LOOPBACK[1]}`
}

function readTable(path: string): string | null {
  try {
    return readFileSync(path, 'latin1')
  } catch {
    return null
  }
}
