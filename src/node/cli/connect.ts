/**
 * Reaches the device of a folder: the running one over its link, else one that runs in this process
 * for as long as the command does.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { type Device, Refused } from '../api.js'
import { connectLink, type Link } from '../link-client.js'
import type { Client } from '../router.js'
import type { Call } from './call.js'

/** How long a command waits for another one that holds the folder. */
export const FOLDER_WAIT_MS = 10_000
const RETRY_MS = 100

export interface Reached {
  client: Client
  /** Another process runs the device, and goes on after this command. */
  running: boolean
  /** Ends when somebody asks this command to stop; only if the device runs in this process. */
  signal: AbortSignal
}

export interface ReachOptions {
  /** The command needs other devices. */
  network?: boolean
  /** The command edits nothing: it works on a full disk, too. */
  reads?: boolean
}

export async function withDevice<T>(
  call: Call,
  options: ReachOptions,
  use: (reached: Reached) => Promise<T>,
): Promise<T> {
  const stop = new AbortController()
  const off = call.around.onSignal(() => stop.abort())
  try {
    const { network = false, reads = false } = options
    const create = () => call.around.createDevice({ folder: call.folder, network, log: () => {} })
    const found = await linkOrDevice(call, create, stop.signal)
    if (!('pid' in found)) return await inProcess(call, found, stop.signal, reads, use)
    // A running device minds its own end; this process may simply be ended.
    off()
    return await overLink(found, stop.signal, reads, use)
  } finally {
    off()
  }
}

/** The running device of the folder, or a new one; waits while another command holds the folder. */
export async function linkOrDevice<Made extends object>(
  call: Call,
  create: () => Promise<Made>,
  signal: AbortSignal,
): Promise<Link | Made> {
  const deadline = performance.now() + FOLDER_WAIT_MS
  for (;;) {
    const link = await connectLink(call.folder)
    if (link) return link
    try {
      return await create()
    } catch (error) {
      if (!(error instanceof Refused) || error.code !== 'in-use' || performance.now() > deadline) throw error
    }
    if (signal.aborted) throw interrupted()
    await sleep(RETRY_MS)
  }
}

async function overLink<T>(
  link: Link,
  signal: AbortSignal,
  reads: boolean,
  use: (reached: Reached) => Promise<T>,
): Promise<T> {
  try {
    const result = await use({ client: link.client, running: true, signal })
    if (!reads) await link.client.flush()
    return result
  } finally {
    link.close()
  }
}

async function inProcess<T>(
  call: Call,
  device: Device,
  signal: AbortSignal,
  reads: boolean,
  use: (reached: Reached) => Promise<T>,
): Promise<T> {
  const stopped = new Promise<never>((_, reject) => {
    signal.addEventListener('abort', () => reject(interrupted()))
    if (signal.aborted) reject(interrupted())
  })
  stopped.catch(() => {})
  try {
    const { createLocalClient } = await import('../router.js')
    const client = createLocalClient({ device, host: noHost, log: (line) => call.note(line) })
    const work = use({ client, running: false, signal })
    work.catch(() => {})
    const result = await Promise.race([work, stopped])
    if (!reads) await client.flush()
    return result
  } finally {
    await device.close()
  }
}

export function interrupted(): Refused {
  return new Refused('interrupted', 'Interrupted.')
}

const noHost = {
  about: () => Promise.reject(notRunning()),
  windowUrl: () => Promise.reject(notRunning()),
  stop: () => Promise.reject(notRunning()),
}

export function notRunning(): Refused {
  return new Refused('not-running', 'Kartoteka is not running on these cases. Start it with: kartoteka start')
}
