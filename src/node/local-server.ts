/**
 * The local link: the built window over HTTP and the contract over one WebSocket, on 127.0.0.1 only.
 * Each defence has its own file: the guard (headers in), headers (out), codes, proof, uid.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { RPCHandler } from '@orpc/server/ws'
import { type WebSocket, WebSocketServer } from 'ws'
import { type Device, type HostApi, Refused } from './api.js'
import { Crowd } from './host-crowd.js'
import { createOneTimeCodes } from './local-server-codes.js'
import { createWindowFiles, type FindFile } from './local-server-files.js'
import { checkRequest, originOf } from './local-server-guard.js'
import { securityHeaders } from './local-server-headers.js'
import {
  checkProofProtocol,
  createSecret,
  equalSecrets,
  LINK_PROTOCOL,
  linkProof,
  PROOF_HEADER,
  PROOF_PREFIX,
  TOKEN_PATH,
  TOKEN_PREFIX,
} from './local-server-proof.js'
import { createUserCheck } from './local-server-uid.js'
import { createRouter } from './router.js'

/** The same address at every start keeps what a browser remembers for it; below the ephemeral ports. */
export const PREFERRED_PORT = 28417
/** How many ports after the preferred one are tried before any free one is taken. */
export const PORT_TRIES = 8
/** One case of 64 MiB of text is the contract's limit; quoted once more it can nearly treble. */
export const MAX_MESSAGE_BYTES = 192 * 1024 * 1024
/** A one-time code in JSON. */
export const MAX_BODY_BYTES = 1024
/**
 * Sockets that have not shown a token or a proof; a page is loaded over six of them. Beyond it the one goes that asks
 * nothing for longest: whoever opens hundreds keeps no window out. More than the system hands over at once, so that
 * each is read before others can take its place.
 */
export const MAX_WAITING = 1_024
/** Those that have shown one included. */
const MAX_CONNECTIONS = 2 * MAX_WAITING
const REQUEST_TIMEOUT_MS = 10_000
/** How often is looked for requests that take longer. */
const LOOK_INTERVAL_MS = 1_000
/** How long windows have before a stop for what was typed a moment ago. */
const LAST_WORDS_MS = 150
/** How long a socket may take to finish its closing handshake. */
const CLOSE_TIMEOUT_MS = 500

export interface LocalServerOptions {
  device: LinkedDevice
  /** The data folder. */
  folder: string
  /** Asked to stop over the link; called after the answer has gone out. */
  onStop: () => void
  /** Exactly this port, or refused. */
  port?: number
  /** The built window; default: beside the built program. */
  windowFolder?: string
  log?: (line: string) => void
  /** For tests. */
  now?: () => number
}

export interface LocalServer {
  readonly port: number
  /** The secret for the link file. */
  readonly linkToken: string
  /** A fresh address: opens the window once, within five minutes. */
  windowUrl(): string
  /** The device is made anew: windows and commands are cut off, and wait for what `resume` gives. */
  pause(): void
  resume(device: LinkedDevice): void
  /** Windows that were told of it may still say something. */
  close(): Promise<void>
}

type LinkedDevice = Omit<Device, 'close' | 'stopping'>

export async function createLocalServer(options: LocalServerOptions): Promise<LocalServer> {
  const log = options.log ?? (() => {})
  const pageToken = createSecret()
  const linkToken = createSecret()
  const codes = createOneTimeCodes(options.now)
  const findFile = await createWindowFiles(options.windowFolder ?? builtWindow())
  const http = createServer({
    requestTimeout: REQUEST_TIMEOUT_MS,
    headersTimeout: REQUEST_TIMEOUT_MS,
    connectionsCheckingInterval: LOOK_INTERVAL_MS,
  })
  http.maxConnections = MAX_CONNECTIONS
  const doorway = createDoorway()
  const userCheck = createUserCheck()
  const port = await listen(http, options.port)

  const windowUrl = () => `${originOf(port)}/#${codes.create()}`
  const handlerOf = (device: LinkedDevice) => {
    const host: HostApi = {
      about: async () => ({ device: device.id, addresses: device.addresses(), data: options.folder }),
      windowUrl: async () => ({ url: windowUrl() }),
      stop: async () => {
        setTimeout(options.onStop, 20)
        return { ok: true }
      },
    }
    return new RPCHandler(createRouter({ device, host, log }))
  }
  let resume = (_device: LinkedDevice) => {}
  let isPaused = false
  const waiting = new Set<Duplex>()
  const windows = new Set<WebSocket>()
  let rpc = Promise.resolve(handlerOf(options.device))
  const sockets = new WebSocketServer({
    noServer: true,
    maxPayload: MAX_MESSAGE_BYTES,
    perMessageDeflate: false,
    // The other protocol on offer is the secret: it is never echoed.
    handleProtocols: () => LINK_PROTOCOL,
  })
  const headers = securityHeaders(port)

  /** Before anything is told or done: silent sockets and refused requests don't cost the look. */
  const isThisUser = async (socket: Socket) => {
    if (await userCheck(socket)) return true
    // One that has hung up meanwhile stands in no table.
    if (!socket.destroyed) log('local link: a connection of another user was closed')
    socket.destroy()
    return false
  }

  http.on('connection', (socket) => doorway.enter(socket))
  http.on('request', async (request, response) => {
    doorway.asks(request.socket, response)
    for (const [name, value] of Object.entries(headers)) response.setHeader(name, value)
    const refusal = checkRequest(factsOf(request, false), port)
    if (refusal) return answer(response, refusal.status, refusal.reason)
    if (!(await isThisUser(request.socket))) return
    const exchange = { redeem: codes.redeem, token: pageToken }
    const work = pathOf(request) === TOKEN_PATH ? giveToken : giveFile(findFile)
    work(request, response, exchange).catch((error) => {
      // Who hangs up amid a request has made no error of ours.
      if (!request.socket.destroyed) log(`local link: ${String(error)}`)
      answer(response, 500, 'failed')
    })
  })
  http.on('upgrade', async (request: IncomingMessage, stream: Duplex, head: Buffer) => {
    stream.on('error', () => stream.destroy())
    const refusal = checkRequest(factsOf(request, true), port)
    if (refusal) return refuseUpgrade(stream, refusal.status, headers)
    const admitted = admit(request.headers['sec-websocket-protocol'], pageToken, linkToken)
    if (!admitted) return refuseUpgrade(stream, 401, headers)
    if (!(await isThisUser(request.socket))) return
    doorway.leave(request.socket)
    waiting.add(stream)
    const handler = await settled(() => rpc)
    waiting.delete(stream)
    const addProof = (lines: string[]) => {
      if (admitted.proof) lines.push(`${PROOF_HEADER}: ${admitted.proof}`)
    }
    sockets.once('headers', addProof)
    sockets.handleUpgrade(request, stream, head, (socket) => {
      if (!admitted.proof) noteWhileOpen(windows, socket)
      serve(socket, handler)
    })
    sockets.off('headers', addProof)
  })

  return {
    port,
    linkToken,
    windowUrl,
    pause() {
      if (isPaused) return
      isPaused = true
      rpc = new Promise((resolve) => {
        resume = (device) => resolve(handlerOf(device))
      })
      for (const socket of sockets.clients) socket.terminate()
    },
    resume(device) {
      isPaused = false
      resume(device)
    },
    async close() {
      if (windows.size > 0) await sleep(LAST_WORDS_MS)
      for (const stream of waiting) stream.destroy()
      await close(http, sockets)
    },
  }
}

function noteWhileOpen(open: Set<WebSocket>, socket: WebSocket): void {
  open.add(socket)
  socket.on('close', () => open.delete(socket))
}

/** What a promise gives that no other one has taken the place of meanwhile. */
async function settled<T>(newest: () => Promise<T>): Promise<T> {
  for (;;) {
    const asked = newest()
    const value = await asked
    if (asked === newest()) return value
  }
}

/** Who has shown no token yet. */
function createDoorway() {
  const busy = new Set<Socket>()
  const crowd = new Crowd<Socket>({
    ...{ inAll: MAX_WAITING, perNetwork: MAX_WAITING },
    judge: (socket) => (busy.has(socket) ? 'busy' : 'idle'),
    // Without a goodbye: its remains would stay in the system's tables, which are read when somebody asks.
    end: (socket) => socket.resetAndDestroy(),
  })
  const leave = (socket: Socket) => crowd.delete(socket, '')
  return {
    enter(socket: Socket) {
      crowd.add(socket, '')
      socket.on('close', () => leave(socket))
    },
    asks(socket: Socket, response: ServerResponse) {
      busy.add(socket)
      response.on('close', () => busy.delete(socket))
    },
    leave,
  }
}

/** dist/src/node/local-server.js → dist/ui */
function builtWindow(): string {
  return fileURLToPath(new URL('../../ui', import.meta.url))
}

function pathOf(request: IncomingMessage): string {
  return (request.url ?? '').split('?', 1)[0] as string
}

function factsOf(request: IncomingMessage, upgrade: boolean) {
  return { method: request.method ?? '', path: pathOf(request), upgrade, headers: request.headers }
}

function answer(response: ServerResponse, status: number, text: string): void {
  if (response.headersSent) {
    response.destroy()
    return
  }
  // The rest of a body that nobody reads would keep the connection busy.
  response.writeHead(status, { 'Content-Type': 'text/plain; charset=utf-8', Connection: 'close' })
  response.end(`${text}\n`)
}

function refuseUpgrade(stream: Duplex, status: number, headers: Record<string, string>): void {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
  stream.end(`HTTP/1.1 ${status} Refused\r\nConnection: close\r\nContent-Length: 0\r\n${lines.join('')}\r\n`)
}

type Exchange = { redeem: (code: string) => boolean; token: string }
type Work = (request: IncomingMessage, response: ServerResponse, exchange: Exchange) => Promise<void>

function giveFile(findFile: FindFile): Work {
  return async (request, response) => {
    const file = await findFile(pathOf(request))
    if (!file) return answer(response, 404, 'not found')
    response.writeHead(200, { 'Content-Type': file.type, 'Content-Length': file.body.length })
    response.end(file.body)
  }
}

const giveToken: Work = async (request, response, { redeem, token }) => {
  const body = await readBody(request)
  if (body === null) return answer(response, 413, 'too long')
  const code = codeIn(body)
  if (code === null) return answer(response, 400, 'no code')
  if (!redeem(code)) return answer(response, 403, 'code')
  response.writeHead(200, { 'Content-Type': 'application/json; charset=utf-8' })
  response.end(JSON.stringify({ token }))
}

async function readBody(request: IncomingMessage): Promise<string | null> {
  const parts: Buffer[] = []
  let size = 0
  // Left open on return: a destroyed request takes the socket along, and the answer with it.
  for await (const part of request.iterator({ destroyOnReturn: false })) {
    size += part.length
    if (size > MAX_BODY_BYTES) return null
    parts.push(part)
  }
  return Buffer.concat(parts).toString('utf8')
}

function codeIn(body: string): string | null {
  try {
    const value = JSON.parse(body) as { code?: unknown } | null
    return typeof value?.code === 'string' ? value.code : null
  } catch {
    return null
  }
}

/** The page shows its token; the command line a proof, answered by one. null: neither. */
function admit(offered: string | undefined, pageToken: string, linkToken: string): { proof?: string } | null {
  const [protocol, secret, ...rest] = (offered ?? '').split(',').map((part) => part.trim())
  if (protocol !== LINK_PROTOCOL || secret === undefined || rest.length > 0) return null
  if (secret.startsWith(TOKEN_PREFIX))
    return equalSecrets(secret.slice(TOKEN_PREFIX.length), pageToken) ? {} : null
  if (!secret.startsWith(PROOF_PREFIX)) return null
  const nonce = checkProofProtocol(linkToken, secret)
  return nonce === null ? null : { proof: linkProof(linkToken, 'server', nonce) }
}

function serve(socket: WebSocket, rpc: RPCHandler<Record<never, never>>): void {
  // A message over the limit ends the socket with its own code; without a listener it would end the process.
  socket.on('error', () => socket.terminate())
  void rpc.upgrade(socket, { context: {} })
}

async function listen(http: Server, exact: number | undefined): Promise<number> {
  const next = Array.from({ length: PORT_TRIES }, (_, index) => PREFERRED_PORT + index)
  const ports = exact === undefined ? [...next, 0] : [exact]
  for (const port of ports) {
    const code = await tryPort(http, port)
    if (code === null) return (http.address() as { port: number }).port
    if (exact !== undefined) throw portRefusal(exact, code)
  }
  throw new Refused('port', 'No port of this computer is free for the window.')
}

function portRefusal(port: number, code: string): Refused {
  return code === 'EADDRINUSE'
    ? new Refused('port-in-use', `Port ${port} is used by another program. Choose another with --port.`)
    : new Refused('port', `Port ${port} can't be used for the window (${code}).`)
}

/** null when it listens, else the system's error code. */
function tryPort(http: Server, port: number): Promise<string | null> {
  return new Promise((resolve) => {
    const failed = (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message)
    http.once('error', failed)
    http.listen({ host: '127.0.0.1', port, exclusive: true }, () => {
      http.off('error', failed)
      resolve(null)
    })
  })
}

async function close(http: Server, sockets: WebSocketServer): Promise<void> {
  const ended = [...sockets.clients].map(
    (socket) =>
      new Promise<void>((resolve) => {
        const timer = setTimeout(() => socket.terminate(), CLOSE_TIMEOUT_MS)
        socket.once('close', () => {
          clearTimeout(timer)
          resolve()
        })
        socket.close(1001)
      }),
  )
  const closed = new Promise<void>((resolve) => http.close(() => resolve()))
  await Promise.all(ended)
  http.closeAllConnections()
  await closed
}
