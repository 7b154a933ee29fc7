/**
 * What a device process sees from the inside, at no cost worth naming: when a session begins, when a round ends
 * with both sides equal, and how many bytes go out, our messages and whole sockets apart. Wraps only what the
 * driver and the runtime offer to everybody.
 */
import { subscribe } from 'node:diagnostics_channel'
import { Driver } from '../../dist/src/node/driver.js'
import { clock } from './worker.mjs'

const sockets = new Set()
let closedBytes = 0
for (const channel of ['net.client.socket', 'net.server.socket']) {
  subscribe(channel, ({ socket }) => {
    sockets.add(socket)
    socket.once('close', () => {
      closedBytes += socket.bytesWritten
      sockets.delete(socket)
    })
  })
}

/** Bytes written to all TCP sockets so far. */
function wireBytes() {
  let sum = closedBytes
  for (const socket of sockets) sum += socket.bytesWritten
  return sum
}

export function cpuMilliseconds() {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1000
}

let seen
export function mark() {
  seen = { connects: [], equal: [], ours: 0, wireBefore: wireBytes() }
}
mark()

export const read = () => ({
  connects: seen.connects,
  equal: seen.equal,
  ours: seen.ours,
  cpu: cpuMilliseconds(),
  wire: wireBytes() - (seen.connects[0]?.wire ?? seen.wireBefore),
})

const connect = Driver.prototype.connect
Driver.prototype.connect = function (link) {
  seen.connects.push({ at: clock(), wire: wireBytes(), cpu: cpuMilliseconds() })
  const send = link.send
  link.send = (lane, bytes) => {
    seen.ours += bytes.length
    send(lane, bytes)
  }
  const session = connect.call(this, link)
  let round = session.lastRound
  Object.defineProperty(session, 'lastRound', {
    get: () => round,
    set: (next) => {
      round = next
      if (next.equal && next.complete) seen.equal.push(clock())
    },
  })
  return session
}
