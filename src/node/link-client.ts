/** The command line's end of the local link: finds the running device of a folder and talks to it. */

import { type LinkFile, readLinkFile } from './data-folder.js'
import {
  createSecret,
  LINK_PATH,
  LINK_PROTOCOL,
  linkProof,
  PROOF_HEADER,
  proofProtocol,
} from './local-server-proof.js'
import type { Client } from './router.js'

export interface Link {
  client: Client
  pid: number
  /** Resolves when the device has hung up. */
  closed: Promise<void>
  close(): void
}

/** A device that is busy may be slow to answer; one that is gone refuses at once. */
const CONNECT_TIMEOUT_MS = 5000

/** null when no device runs on this folder, or what answers there isn't it. */
export async function connectLink(folder: string): Promise<Link | null> {
  const link = await readLinkFile(folder)
  return link !== null && isAlive(link.pid) ? dial(link) : null
}

/** Whether a process exists, be it another user's. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

async function dial({ port, pid, token }: LinkFile): Promise<Link | null> {
  const { WebSocket } = await import('ws')
  const nonce = createSecret()
  const socket = new WebSocket(
    `ws://127.0.0.1:${port}${LINK_PATH}`,
    [LINK_PROTOCOL, proofProtocol(token, nonce)],
    {
      origin: `http://127.0.0.1:${port}`,
      handshakeTimeout: CONNECT_TIMEOUT_MS,
      perMessageDeflate: false,
      // The device is our own; what it answers has passed its own limits.
      maxPayload: 0,
    },
  )
  let proven = false
  socket.on('upgrade', (response) => {
    proven = response.headers[PROOF_HEADER] === linkProof(token, 'server', nonce)
  })
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()))
  socket.on('error', () => {})
  const open = await Promise.race([
    new Promise<boolean>((resolve) => socket.once('open', () => resolve(true))),
    closed.then(() => false),
  ])
  if (!open || !proven) {
    socket.terminate()
    return null
  }
  const [{ RPCLink }, { createORPCClient }] = await Promise.all([
    import('@orpc/client/websocket'),
    import('@orpc/client'),
  ])
  const rpc = new RPCLink({ websocket: socket as unknown as globalThis.WebSocket })
  return { client: createORPCClient(rpc) as Client, pid, closed, close: () => socket.close() }
}
