/**
 * Finding other devices on the local network by mDNS. Only ever a hint: it may fail, go deaf or be
 * forged, and never ends the process. It runs beside libp2p, not inside: what strangers announce
 * reaches neither its address book nor its dialer, only `onFound`.
 */
import type { ComponentLogger, PeerInfo } from '@libp2p/interface'
import { mdns } from '@libp2p/mdns'
import type { Multiaddr } from '@multiformats/multiaddr'
import { isPlainAddress } from './host-address.js'
import { watchInterfaces } from './host-interfaces.js'
import { peerIdToPublicKey } from './peer-id.js'

/** The library's ten seconds are long for somebody who waits beside two devices. */
export const LAN_INTERVAL_MS = 1_000

/**
 * Everybody hears what anybody asks, and all answers: where somebody else has asked just now nothing is asked again, or
 * thirty devices would make each other read 900 answers a second. Now and then it is all the same: what reached this
 * device may have reached no other one.
 */
const HEARD_SHARE = 3 / 4
const ASK_ANYWAY_AFTER = 10

/** Our own name, so that other libp2p programs on this network neither answer nor are asked. */
const SERVICE_TAG = '_kartoteka._udp.local'

/** Binding a socket takes microseconds; when neither success nor failure is told, go on. */
const BIND_TIMEOUT_MS = 2_000

/** The same device is reported again at most this often, however many ask and answer. */
const REPEAT_MS = 900

/** Sightings remembered for that: bounded, since anybody on the network can invent devices. */
const MAX_REMEMBERED = 512

/** Addresses taken from one announcement. */
const MAX_ADDRESSES = 16

export interface FoundPeer {
  id: string
  /** Without names to look up, ending in `/p2p/ID`. Unverified: the handshake shows who answers there. */
  addresses: string[]
}

export interface LanOptions {
  id: string
  addresses: () => Multiaddr[]
  logger: ComponentLogger
  log: (level: 'debug' | 'warn', text: string) => void
  /** Also of announcements of this very device: its own come back, and a copied data folder announces it, too. */
  onFound: (peer: FoundPeer) => void
  intervalMs?: number
}

export interface Lan {
  stop(): Promise<void>
}

/** The parts of the library's service that its types hide behind an event target. */
interface MdnsService {
  start(): Promise<void>
  stop(): Promise<void>
  addEventListener(type: 'peer', listener: (event: CustomEvent<PeerInfo>) => void): void
  mdns?: MdnsSocket
}

interface MdnsSocket {
  on(event: 'error' | 'ready', listener: (error?: Error) => void): void
  on(event: 'query', listener: (query: MdnsQuery) => void): void
  update(): void
  query(query: MdnsQuery): void
}

interface MdnsQuery {
  id?: number
  questions: { name: string }[]
}

/** Starts at once and keeps trying; never throws. */
export function startLan(options: LanOptions): Lan {
  const report = createReporter(options)
  let stopped = false
  let service: MdnsService | undefined

  const start = async (): Promise<void> => {
    try {
      service = await startService(options, report)
    } catch (error) {
      options.log('warn', `looking for devices on this network is not possible: ${String(error)}`)
    }
  }
  const stop = async (): Promise<void> => {
    const running = service
    service = undefined
    try {
      await running?.stop()
    } catch (error) {
      options.log('debug', `mDNS did not stop cleanly: ${String(error)}`)
    }
  }

  let work = start()
  // An interface that goes and comes back has lost its multicast membership, of which the library
  // keeps no account: after sleep or a change of network it would stay deaf.
  const unwatch = watchInterfaces(() => {
    work = work.then(async () => {
      if (stopped) return
      options.log('debug', 'the network has changed; looking for devices anew')
      await stop()
      await start()
    })
  })

  return {
    async stop() {
      stopped = true
      unwatch()
      await work
      await stop()
    },
  }
}

async function startService(options: LanOptions, report: (peer: PeerInfo) => void): Promise<MdnsService> {
  const { intervalMs = LAN_INTERVAL_MS } = options
  const create = mdns({ interval: intervalMs, serviceTag: SERVICE_TAG })
  // Asked from within the library's listener for packets, where nobody catches what the system refuses.
  const getAddresses = (): Multiaddr[] => {
    try {
      return options.addresses().filter(isPlainAddress)
    } catch (error) {
      options.log('debug', `mDNS could not look at the interfaces: ${String(error)}`)
      return []
    }
  }
  // The library wants a whole address manager and calls only this of it.
  const components = { addressManager: { getAddresses }, logger: options.logger } as unknown
  const service = create(components as Parameters<typeof create>[0]) as unknown as MdnsService
  service.addEventListener('peer', (event) => report(event.detail))
  await service.start()
  if (service.mdns !== undefined) {
    askLess(service.mdns, intervalMs)
    await contain(service.mdns, options)
  }
  return service
}

function askLess(socket: MdnsSocket, intervalMs: number): void {
  // One's own questions come back as well.
  const id = 1 + Math.floor(Math.random() * 0xffff)
  let askedAt = performance.now()
  let heardAt = Number.NEGATIVE_INFINITY
  socket.on('query', (query) => {
    if (query.id !== id && query.questions[0]?.name === SERVICE_TAG) heardAt = performance.now()
  })
  const ask = socket.query.bind(socket)
  socket.query = (query) => {
    const now = performance.now()
    const isAsked = now - heardAt < HEARD_SHARE * intervalMs
    if (isAsked && now - askedAt < ASK_ANYWAY_AFTER * intervalMs) return
    askedAt = now
    ask({ ...query, id })
  }
}

/**
 * Keeps what the library lets slip from ending the process. Called before its socket is bound:
 * - its error listener is gone before its socket is: ours stays, so that a late error has a listener;
 * - its timer looks at the interfaces outside of any `try`;
 * - destroyed before it is bound, it leaves that timer running for ever: so wait until it is bound.
 */
async function contain(socket: MdnsSocket, options: LanOptions): Promise<void> {
  const update = socket.update.bind(socket)
  socket.update = () => {
    try {
      update()
    } catch (error) {
      options.log('debug', `mDNS could not look at the interfaces: ${String(error)}`)
    }
  }
  await new Promise<void>((resolve) => {
    const timeout = setTimeout(resolve, BIND_TIMEOUT_MS)
    const settle = (): void => {
      clearTimeout(timeout)
      resolve()
    }
    socket.on('error', (error) => {
      options.log('debug', `mDNS: ${String(error)}`)
      settle()
    })
    socket.on('ready', settle)
  })
}

function createReporter(options: LanOptions): (peer: PeerInfo) => void {
  const seen = new Map<string, number>()
  return (peer) => {
    const id = peer.id.toString()
    if (peerIdToPublicKey(id) === undefined) return
    const addresses = peer.multiaddrs
      .filter(isPlainAddress)
      .slice(0, MAX_ADDRESSES)
      .map((address) => `${address.toString()}/p2p/${id}`)
    if (addresses.length === 0) return
    const sighting = `${id} ${addresses.join(' ')}`
    const now = performance.now()
    if (now - (seen.get(sighting) ?? Number.NEGATIVE_INFINITY) < REPEAT_MS) return
    if (seen.size >= MAX_REMEMBERED) seen.clear()
    seen.set(sighting, now)
    options.onFound({ id, addresses })
  }
}
