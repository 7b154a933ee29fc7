/**
 * The link to this device: the one-time code of the address becomes a token that lives in this page's
 * memory only; the token opens one WebSocket; the typed contract runs over it. A lost connection is
 * taken up again by itself.
 */
import { createORPCClient } from '@orpc/client'
import { RPCLink } from '@orpc/client/websocket'
import type { Client, DeviceLink, LinkStatus } from './state/client.js'
import { createStore } from './state/store.js'

/** Spoken on the socket; the token rides beside it, because a page can set no other header. */
const subprotocol = 'kartoteka.1'
const firstWaitMs = 250
const longestWaitMs = 5000

export interface WindowLink extends DeviceLink {
  /** The device said that it is closing. */
  stopping(): void
}

/** Reads the one-time code from the address and takes it out of it. */
export function takeCode(): string | null {
  const fragment = location.hash.slice(1)
  history.replaceState(null, '', location.pathname + location.search)
  return fragment || null
}

export function openLink(code: string | null): WindowLink {
  const status = createStore<LinkStatus>(code ? { kind: 'linking' } : { kind: 'noCode' })
  let client: Client | null = null
  let stopping = false
  let attempts = 0

  const connect = (token: string) => {
    const address = `${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/link`
    const socket = new WebSocket(address, [subprotocol, `token.${token}`])
    socket.addEventListener('open', () => {
      attempts = 0
      stopping = false
      client = createORPCClient<Client>(new RPCLink({ websocket: socket }))
      status.set({ kind: 'open' })
    })
    socket.addEventListener('close', () => {
      client = null
      attempts++
      status.set({ kind: 'waiting', attempts, stopping })
      setTimeout(connect, Math.min(longestWaitMs, firstWaitMs * 2 ** (attempts - 1)), token)
    })
  }

  const exchange = async (oneTimeCode: string) => {
    for (let attempt = 0; ; attempt++) {
      try {
        const response = await fetch('/token', {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify({ code: oneTimeCode }),
        })
        const answer: unknown = response.ok ? await response.json() : null
        const token = typeof answer === 'object' && answer && 'token' in answer ? answer.token : null
        if (typeof token !== 'string') return status.set({ kind: 'refused' })
        return connect(token)
      } catch {
        // The device is not there yet or its answer was cut off: the code may still be good.
        await new Promise((resume) => setTimeout(resume, Math.min(longestWaitMs, firstWaitMs * 2 ** attempt)))
      }
    }
  }

  if (code) void exchange(code)
  return {
    status,
    client: () => client,
    stopping() {
      stopping = true
    },
  }
}
