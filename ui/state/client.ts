/** The device as the window sees it: the typed contract, and whether it can be reached just now. */
import type { ContractRouterClient } from '@orpc/contract'
import type { contract, Refusal } from '../../src/node/contract.js'
import type { Store } from './store.js'

export type Client = ContractRouterClient<typeof contract>

export type LinkStatus =
  | { kind: 'linking' }
  /** Opened without a one-time code, or with a used one. */
  | { kind: 'noCode' }
  | { kind: 'refused' }
  | { kind: 'open' }
  /** Interrupted; `attempts` failed so far. */
  | { kind: 'waiting'; attempts: number; stopping: boolean }

export interface DeviceLink {
  readonly status: Store<LinkStatus>
  /** The client of the present connection; null while there is none. */
  client(): Client | null
}

/** Thrown when something is asked while the device can't be reached. */
class LinkLost extends Error {
  override name = 'LinkLost'
}

export function connected(link: DeviceLink): Client {
  const client = link.client()
  if (!client) throw new LinkLost('The device cannot be reached.')
  return client
}

const unreadable: Refusal = {
  code: 'file-unreadable',
  sentence: 'The file can’t be read any more. Choose it again.',
}

/** The reason the device gave, or the browser for a file that is gone; null if there is none (the connection broke, or a bug). */
export function refusalOf(error: unknown): Refusal | null {
  // Written meanwhile, or on a stick that was pulled out.
  if (error instanceof DOMException && /^Not(Readable|Found)Error$/.test(error.name)) return unreadable
  if (typeof error !== 'object' || error === null || !('data' in error)) return null
  const data = error.data
  if (typeof data !== 'object' || data === null) return null
  if (!('code' in data && 'sentence' in data)) return null
  const { code, sentence } = data
  return typeof code === 'string' && typeof sentence === 'string' ? { code, sentence } : null
}

/** Runs `task` now if the device can be reached, and again whenever it can be reached anew. */
export function onEachConnection(link: DeviceLink, task: (client: Client) => void): () => void {
  let seen: Client | null = null
  const check = () => {
    const client = link.client()
    if (client === seen) return
    seen = client
    if (client) task(client)
  }
  const stop = link.status.subscribe(check)
  check()
  return stop
}
