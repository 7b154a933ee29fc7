/**
 * A STUN responder (RFC 5389, Binding only): tells whoever asks from which address and port the question
 * came. Two devices behind NATs need that to find a way to each other, and it is all that they need.
 *
 * It can't be used against others: an answer has 32 bytes (IPv6: 44) to a question's 20 or more, only Binding
 * requests are answered, never responses, and nothing is kept of anybody.
 */
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram'
import { isIPv4, isIPv6 } from 'node:net'

const HEADER_BYTES = 20
/** Longer than any honest question; the length field of a request is checked against the packet. */
const MAX_REQUEST_BYTES = 548
const BINDING_REQUEST = 0x0001
const BINDING_SUCCESS = 0x0101
const MAGIC_COOKIE = 0x2112a442
const XOR_MAPPED_ADDRESS = 0x0020

/** Addresses tried when none is given; a computer without IPv6 has only the first. */
export const STUN_HOSTS = ['0.0.0.0', '::']

export interface Stun {
  readonly port: number
  close(): Promise<void>
}

export interface StunError {
  code: string
  host: string
  port: number
}

/** The answer to a packet from an address, or undefined where none is due. */
export function answerStun(
  packet: Uint8Array,
  from: { address: string; port: number },
): Uint8Array | undefined {
  if (packet.byteLength < HEADER_BYTES || packet.byteLength > MAX_REQUEST_BYTES) return undefined
  const view = new DataView(packet.buffer, packet.byteOffset, packet.byteLength)
  if (view.getUint16(0) !== BINDING_REQUEST || view.getUint32(4) !== MAGIC_COOKIE) return undefined
  const length = view.getUint16(2)
  if (length % 4 !== 0 || length + HEADER_BYTES !== packet.byteLength) return undefined
  const address = addressBytes(from.address)
  if (address === undefined || from.port === 0) return undefined
  const answer = new Uint8Array(HEADER_BYTES + 8 + address.byteLength)
  const out = new DataView(answer.buffer)
  out.setUint16(0, BINDING_SUCCESS)
  out.setUint16(2, answer.byteLength - HEADER_BYTES)
  // Cookie and transaction id; the address is masked with both.
  answer.set(packet.subarray(4, HEADER_BYTES), 4)
  out.setUint16(20, XOR_MAPPED_ADDRESS)
  out.setUint16(22, 4 + address.byteLength)
  answer[25] = address.byteLength === 4 ? 1 : 2
  out.setUint16(26, from.port ^ (MAGIC_COOKIE >>> 16))
  address.forEach((byte, i) => {
    answer[28 + i] = byte ^ (answer[4 + i] ?? 0)
  })
  return answer
}

/** Listens on all of the hosts on one port; 0 is a port that the system chooses. */
export async function startStun(hosts: string[], port: number): Promise<Stun | StunError> {
  const sockets: Socket[] = []
  let bound = port
  for (const host of hosts) {
    const opened = await bind(host, bound)
    if (opened instanceof Error) {
      const code = 'code' in opened ? String(opened.code) : opened.message
      if (host === '::' && hosts.length > 1 && /EAFNOSUPPORT|EADDRNOTAVAIL|EINVAL/.test(code)) continue
      await closeAll(sockets)
      return { code, host, port: bound }
    }
    sockets.push(opened)
    bound = opened.address().port
  }
  return { port: bound, close: () => closeAll(sockets) }
}

function bind(host: string, port: number): Promise<Socket | Error> {
  const socket = isIPv4(host) ? createSocket('udp4') : createSocket({ type: 'udp6', ipv6Only: true })
  socket.on('message', (packet: Uint8Array, from: RemoteInfo) => {
    const answer = answerStun(packet, from)
    // An answer that can't be sent is lost like any packet.
    if (answer !== undefined) socket.send(answer, from.port, from.address, () => {})
  })
  return new Promise((resolve) => {
    socket.once('error', resolve)
    socket.bind({ address: host, port, exclusive: true }, () => {
      socket.removeListener('error', resolve)
      // Such as ECONNREFUSED reported by the system for an earlier answer.
      socket.on('error', () => {})
      resolve(socket)
    })
  })
}

async function closeAll(sockets: Socket[]): Promise<void> {
  await Promise.all(sockets.map((socket) => new Promise<void>((resolve) => socket.close(() => resolve()))))
}

/** 4 or 16 bytes of a textual address, as the system gives it. */
function addressBytes(text: string): Uint8Array | undefined {
  const plain = text.replace(/%.*$/, '').replace(/^::ffff:(?=\d+\.)/i, '')
  if (isIPv4(plain)) return Uint8Array.from(plain.split('.'), Number)
  if (!isIPv6(plain)) return undefined
  const [before = '', after] = plain.split('::')
  const head = groups(before)
  const tail = after === undefined ? [] : groups(after)
  const zeros =
    after === undefined ? [] : new Array<number>(Math.max(0, 8 - head.length - tail.length)).fill(0)
  return Uint8Array.from([...head, ...zeros, ...tail].flatMap((group) => [group >> 8, group & 255]))
}

function groups(text: string): number[] {
  return text === '' ? [] : text.split(':').map((group) => Number.parseInt(group, 16))
}
