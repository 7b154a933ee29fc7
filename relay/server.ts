/** The composition root of a relay: folder, store, rules, network, metrics, and a clean end. */
import { randomBytes } from 'node:crypto'
import { statfs } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Channel } from '../src/node/frames.js'
import { createRelayHost, type RelayHost } from '../src/node/host-relay.js'
import type { RemotePeer } from '../src/node/host-remote.js'
import { networkOf } from '../src/node/host-transports.js'
import { nodeNatives } from '../src/node/natives.js'
import { MAX_CHAIN_BYTES, MAX_ENVELOPE_BYTES } from '../src/protocol/mailbox-limits.js'
import { practiceCode } from '../src/protocol/practice-code.js'
import { RelayCore } from './core.js'
import { isRelayError, type RelayError } from './error.js'
import { loadRelayIdentity } from './identity.js'
import { createMetrics } from './metrics.js'
import type { RelaySettings } from './settings.js'
import { isFull } from './store/database.js'
import { diskFull, openRelayFolder, type RelayFolder } from './store/folder.js'
import { openLevelStore } from './store/level-store.js'
import type { MailStore } from './store/mail-store.js'

export const MAILBOX_PROTOCOL = '/kartoteka/mailbox/1'
export const MEET_PROTOCOL = '/kartoteka/meet/1'

/** An envelope with its recipients and what it replaces. */
const MAX_MAIL_MESSAGE_BYTES = MAX_ENVELOPE_BYTES + 1024 * 1024
/** A whole roster: all that somebody unknown may send. */
const MAX_STRANGER_MESSAGE_BYTES = MAX_CHAIN_BYTES + 64 * 1024
/** One is used, the next overlaps it while a device reconnects. */
const MAX_STREAMS_PER_CONNECTION = 2
/** A code and what surrounds it. */
const MAX_MEET_MESSAGE_BYTES = 256
const MEET_TIMEOUT_MS = 10_000
const TICK_MS = 1000

/** Deposits are refused while less is free: merging needs room, and so do acknowledgements. */
const LEAST_FREE_BYTES = 256 * 1024 * 1024
const LEAST_FREE_SHARE = 0.1

export interface RelayOptions {
  folder: string
  settings: RelaySettings
  log: (line: string) => void
}

export interface Relay {
  /** Peer id. */
  id: string
  addresses(): string[]
  stunPort: number | undefined
  metricsPort: number | undefined
  /** Answers what came, tells the devices, and closes everything. */
  stop(): Promise<void>
}

export async function startRelay(options: RelayOptions): Promise<Relay | RelayError> {
  const folder = await openRelayFolder(options.folder)
  if (isRelayError(folder)) return folder
  const undo: (() => unknown)[] = [() => folder.release(), () => folder.db.close()]
  try {
    const relay = await compose(options, folder, undo)
    if (isRelayError(relay)) await unwind(undo)
    return relay
  } catch (error) {
    await unwind(undo)
    if (isFull(error)) return diskFull(options.folder)
    throw error
  }
}

async function unwind(undo: (() => unknown)[]): Promise<void> {
  for (const step of undo.splice(0).reverse()) await step()
}

async function compose(
  { folder: path, settings, log }: RelayOptions,
  folder: RelayFolder,
  undo: (() => unknown)[],
): Promise<Relay | RelayError> {
  const identity = await loadRelayIdentity(path)
  if (isRelayError(identity)) return identity
  const metrics = createMetrics()
  const store = await openStore(folder, log, metrics.flushed)
  if (isRelayError(store)) return store
  undo.push(() => store.close())
  const disk = new FreeSpace(path, log)
  const core = new RelayCore({
    store,
    natives: nodeNatives,
    clock: { monotonic: () => performance.now() },
    limits: { quotaBytes: settings.quotaBytes, expiryMs: settings.expiryMs },
    mayRegister: (practice) =>
      settings.allow.length === 0 || settings.allow.includes(practiceCode(nodeNatives, practice)),
    hasRoom: () => disk.hasRoom,
    log,
    meter: metrics,
  })
  undo.push(() => core.stop())
  const host = await openNetwork(identity.seed, settings, core, log)
  if (isRelayError(host)) return host
  // Says goodbye before the connections go.
  undo.pop()
  undo.push(
    () => host.stop(),
    () => core.stop(),
  )
  await disk.look()
  const timer = setInterval(() => {
    core.tick()
    void disk.look()
  }, TICK_MS)
  undo.push(() => clearInterval(timer))
  let isReady = true
  let metricsPort: number | undefined
  if (settings.metricsPort !== undefined) {
    const served = await metrics.listen(settings.metricsPort, {
      totals: () => store.totals(),
      sessions: () => core.sessions,
      connections: () => host.connections().length,
      circuits: () => host.circuits,
      reservations: () => host.reservations,
      isReady: () => isReady,
    })
    if (isRelayError(served)) return served
    metricsPort = served.port
    undo.push(() => served.close())
  }
  return {
    id: host.id,
    addresses: () => host.addresses(),
    stunPort: host.stunPort,
    metricsPort,
    async stop() {
      isReady = false
      await unwind(undo)
    },
  }
}

async function openStore(
  folder: RelayFolder,
  log: (line: string) => void,
  onFlush: (ms: number, tasks: number) => void,
): Promise<MailStore | RelayError> {
  const random = (length: number) => Uint8Array.from(randomBytes(length))
  try {
    const { db, marks } = folder
    return await openLevelStore({ db, marks, natives: nodeNatives, random, log, onFlush })
  } catch (error) {
    if (isFull(error)) throw error
    return { code: 'store-damaged', sentence: `The mail can't be read: ${(error as Error).message}` }
  }
}

async function openNetwork(
  privateKey: Uint8Array,
  settings: RelaySettings,
  core: RelayCore,
  log: (line: string) => void,
): Promise<RelayHost | RelayError> {
  const host = await createRelayHost({
    privateKey,
    ...(settings.listen === undefined ? {} : { listen: settings.listen }),
    announce: settings.announce,
    ...(settings.circuit ? {} : { circuit: false as const }),
    ...(settings.stunPort === undefined ? {} : { stun: { port: settings.stunPort } }),
    mayReserve: (key) => core.mayReserve(key),
    mayConnect: (from, to) => core.mayConnect(from, to),
    log: (level, text) => {
      if (level === 'warn') log(text)
    },
  })
  if ('code' in host) return host
  await host.handle(MAILBOX_PROTOCOL, (channel, remote) => void serveMailbox(core, channel, remote), {
    maxMessageBytes: MAX_STRANGER_MESSAGE_BYTES,
    maxInboundStreams: MAX_STREAMS_PER_CONNECTION,
  })
  await host.handle(MEET_PROTOCOL, (channel, remote) => void serveMeeting(core, channel, remote), {
    maxMessageBytes: MAX_MEET_MESSAGE_BYTES,
    maxInboundStreams: MAX_STREAMS_PER_CONNECTION,
  })
  return host
}

/** By the IP address of its multiaddr: `/ip4/192.0.2.1/tcp/…`. */
const subscriberOf = ({ address }: RemotePeer) => networkOf(address.split('/')[2] ?? '')

/** One device's channel, for as long as it lasts. */
async function serveMailbox(core: RelayCore, channel: Channel, remote: RemotePeer): Promise<void> {
  const connection = core.connect(
    { publicKey: remote.publicKey, address: subscriberOf(remote) },
    {
      send: (lane, bytes) => void channel.send(lane, bytes),
      close: () => void channel.close(),
      admitted: () => channel.allowMessages(MAX_MAIL_MESSAGE_BYTES),
      queuedBytes: () => channel.queuedBulkBytes + channel.queuedLiveBytes,
      unfinishedBytes: () => channel.unfinishedBytes,
      abort: () => channel.abort(new Error('too much is unfinished')),
    },
  )
  void channel.closed.then(() => connection.closed())
  // The next one is read when this one may be answered: so a fast sender waits.
  for await (const { bytes } of channel.messages) await connection.receive(bytes)
}

/** One question, one answer. */
async function serveMeeting(core: RelayCore, channel: Channel, remote: RemotePeer): Promise<void> {
  const late = sleep(MEET_TIMEOUT_MS, undefined, { ref: false }).then(() => channel.close())
  for await (const { bytes } of channel.messages) {
    const answer = core.meet({ address: subscriberOf(remote) }, bytes)
    if (answer) channel.send('live', answer)
    break
  }
  await Promise.race([channel.close(), late])
}

/** Whether the disk has room for more, looked at once in a while. */
class FreeSpace {
  hasRoom = true

  constructor(
    private readonly folder: string,
    private readonly log: (line: string) => void,
  ) {}

  async look(): Promise<void> {
    const found = await statfs(this.folder).catch(() => undefined)
    if (!found) return
    const least = Math.min(LEAST_FREE_BYTES, found.blocks * found.bsize * LEAST_FREE_SHARE)
    const hasRoom = found.bavail * found.bsize >= least
    if (hasRoom !== this.hasRoom)
      this.log(
        hasRoom
          ? 'There is room on the disk again: deposits are taken.'
          : 'The disk is nearly full: no deposits are taken until there is room.',
      )
    this.hasRoom = hasRoom
  }
}
