/**
 * Which requests the local server hears, decided from their headers alone. A web page must not reach
 * the device through the browser it runs in, whatever name resolves to this computer.
 */
import type { IncomingHttpHeaders } from 'node:http'
import { LINK_PATH, TOKEN_PATH } from './local-server-proof.js'

export interface RequestFacts {
  method: string
  /** Without the query. */
  path: string
  upgrade: boolean
  headers: IncomingHttpHeaders
}

/** Why a request isn't heard, with its HTTP status; null when it may pass. */
export interface GuardRefusal {
  status: number
  reason: string
}

export function originOf(port: number): string {
  return `http://127.0.0.1:${port}`
}

export function checkRequest(request: RequestFacts, port: number): GuardRefusal | null {
  const { headers, method, path } = request
  // An exact Host defeats names that an attacker lets resolve to 127.0.0.1.
  if (headers.host !== `127.0.0.1:${port}`) return { status: 403, reason: 'host' }
  if (headers.origin !== undefined && headers.origin !== originOf(port))
    return { status: 403, reason: 'origin' }
  if (!isSameOrigin(headers) && !isTopLevelVisit(request)) return { status: 403, reason: 'site' }
  return request.upgrade ? checkUpgrade(method, path, headers) : checkPlain(method, path, headers)
}

function checkUpgrade(method: string, path: string, headers: IncomingHttpHeaders): GuardRefusal | null {
  if (path !== LINK_PATH) return { status: 404, reason: 'path' }
  if (method !== 'GET') return { status: 405, reason: 'method' }
  if (headers.upgrade?.toLowerCase() !== 'websocket') return { status: 400, reason: 'upgrade' }
  // Every browser names the origin of a socket; so does our command line.
  if (headers.origin === undefined) return { status: 403, reason: 'origin' }
  return null
}

function checkPlain(method: string, path: string, headers: IncomingHttpHeaders): GuardRefusal | null {
  if (path === LINK_PATH) return { status: 426, reason: 'upgrade' }
  if (path !== TOKEN_PATH) return method === 'GET' ? null : { status: 405, reason: 'method' }
  if (method !== 'POST') return { status: 405, reason: 'method' }
  if (headers.origin === undefined) return { status: 403, reason: 'origin' }
  // Not one of the types that a form can send.
  if (headers['content-type'] !== 'application/json') return { status: 415, reason: 'type' }
  return null
}

/** Absent means: no browser of today. Such a client holds no cookie or key of the person's browser. */
function isSameOrigin(headers: IncomingHttpHeaders): boolean {
  const site = headers['sec-fetch-site']
  return site === undefined || site === 'same-origin'
}

/** The address typed, or opened from the launch file: a whole page, at the root, never a part of one. */
function isTopLevelVisit({ method, path, upgrade, headers }: RequestFacts): boolean {
  return (
    method === 'GET' &&
    !upgrade &&
    path === '/' &&
    headers['sec-fetch-mode'] === 'navigate' &&
    headers['sec-fetch-dest'] === 'document'
  )
}
