/** What a device says about itself and the others: status, the device list, and waiting for them. */
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { toHex } from '../../protocol/bytes.js'
import type { DeviceApi } from '../api.js'
import type { DeviceStatus, Status } from '../contract.js'
import { publicKeyToPeerId } from '../peer-id.js'
import { newerStore, writeRefusal } from './cases.js'
import type { Practice } from './practice-state.js'

type StatusApi = Pick<DeviceApi, 'status' | 'sync' | 'wait'>

/** A device counts as unreachable after so many dials without an answer, or after this long. */
const FAILED_DIALS = 3
const UNREACHABLE_MS = 10_000
/** A device whose address isn't known may still be found on the LAN within this time. */
const LAN_MS = 4_000
const POLL_MS = 50
const IDLE_MS = 500

export function statusApi(practice: Practice, folder: string, version: string): StatusApi {
  const status = (): Promise<Status> => readStatus(practice, folder, version)
  return {
    status,
    async sync() {
      const { driver, peers } = practice
      if (!driver || !peers) return { sent: 0, received: 0 }
      const before = { sent: driver.sentChanges, received: driver.receivedChanges }
      await waitSynced(practice, performance.now() + UNREACHABLE_MS)
      return { sent: driver.sentChanges - before.sent, received: driver.receivedChanges - before.received }
    },
    async wait({ for: what, timeoutSeconds }, signal) {
      const deadline = performance.now() + timeoutSeconds * 1000
      const met =
        what === 'synced'
          ? await waitSynced(practice, deadline, signal)
          : await waitIdle(practice, deadline, signal)
      return { met, status: await status() }
    },
  }
}

/** All devices of the practice, this one first. */
export function deviceStatuses(practice: Practice): DeviceStatus[] {
  const { keeper, identity, notes, now } = practice.options
  if (!keeper.current) return []
  const self: DeviceStatus = {
    id: publicKeyToPeerId(identity.ed),
    name: keeper.nameOf(identity.ed),
    self: true,
    path: 'none',
    connected: true,
    lastSeen: now(),
    upToDate: true,
    behind: 0,
  }
  const others = keeper.others().map((device): DeviceStatus => {
    const peer = toHex(device)
    const connected = practice.peers?.sessionOf(peer) !== undefined
    const behind = practice.behind(device)
    return {
      id: publicKeyToPeerId(device),
      name: keeper.nameOf(device),
      self: false,
      path: practice.peers?.pathOf(peer) ?? 'none',
      connected,
      lastSeen: connected ? now() : (notes.peers.get(peer)?.lastSeen ?? null),
      upToDate: behind === 0,
      behind: behind ?? changesHeld(practice),
    }
  })
  return [self, ...others]
}

function changesHeld(practice: Practice): number {
  let held = 0
  if (practice.hasPractice) for (const log of practice.replica().logs.all()) held += log.seq
  return held
}

async function readStatus(practice: Practice, folder: string, version: string): Promise<Status> {
  const { keeper, identity } = practice.options
  const state = keeper.current
  const meta = practice.hasPractice ? practice.replica().meta : undefined
  return {
    practice: state ? { id: toHex(state.roster.practiceId), name: state.opened.practiceName } : null,
    device: { id: publicKeyToPeerId(identity.ed), name: state ? keeper.nameOf(identity.ed) : '' },
    version,
    cases: { total: meta?.total ?? 0, archived: meta?.archived ?? 0, deleted: meta?.deleted ?? 0 },
    state: 'off',
    devices: deviceStatuses(practice),
    mailbox: { configured: false, connected: false, relays: [], pendingOut: 0, pendingIn: 0 },
    transfer: practice.driver?.transfer ?? null,
    store: { bytes: await folderBytes(join(folder, 'store')) },
    problems: problems(practice),
  }
}

function problems(practice: Practice): Status['problems'] {
  const list: Status['problems'] = []
  const { db, keeper } = practice.options
  if (db.failed) {
    const { code, sentence } = writeRefusal(db.failed)
    list.push({ code, sentence })
  }
  if (db.newerVersion !== undefined) {
    const { code, sentence } = newerStore(db.newerVersion)
    list.push({ code, sentence })
  }
  if (practice.hasPractice && practice.replica().damaged.size > 0) {
    list.push({
      code: 'store-damaged',
      sentence: 'Some stored data is damaged. It is fetched again from another device.',
    })
  }
  if (practice.healed.size > 0) {
    const sentence = practice.healed.has('old-copy')
      ? 'This device started from an older copy. Its changes were put in order; nothing is lost.'
      : 'Two copies of one device were found. Their changes were put in order; nothing is lost.'
    list.push({ code: 'fork-healed', sentence })
  }
  if (keeper.contested) {
    list.push({
      code: 'contested',
      sentence: 'Two devices disagree about who belongs to this practice. Decide on each device.',
    })
  }
  for (const [peer, code] of practice.peerProblems) {
    const name = keeper.nameOf(Uint8Array.from(Buffer.from(peer, 'hex')))
    const sentence =
      code === 'peer-too-old'
        ? `"${name}" has an older version of Kartoteka. Update it there.`
        : `"${name}" has a newer version of Kartoteka. Update it here.`
    list.push({ code, sentence })
  }
  return list
}

async function folderBytes(folder: string): Promise<number> {
  const names = await readdir(folder).catch(() => [])
  const sizes = await Promise.all(
    names.map((name) =>
      stat(join(folder, name)).then(
        (file) => file.size,
        () => 0,
      ),
    ),
  )
  return sizes.reduce((sum, size) => sum + size, 0)
}

/**
 * Until every other device has, since now, finished a HELLO with equal frontiers, or can't be reached.
 * False on timeout.
 */
async function waitSynced(practice: Practice, deadline: number, signal?: AbortSignal): Promise<boolean> {
  const { driver, peers } = practice
  if (!driver) return true
  const began = performance.now()
  if (practice.hasPractice) await practice.replica().docs.settle()
  peers?.forgive()
  peers?.dialAll()
  const finished = new Set<string>()
  for (;;) {
    const open = practice.options.keeper
      .others()
      .map(toHex)
      .filter((peer) => !finished.has(peer))
    let unreachable = 0
    for (const peer of open) {
      const session = peers?.sessionOf(peer)
      if (!session) {
        if (isUnreachable(practice, peer, performance.now() - began)) unreachable++
        continue
      }
      const round = await within(driver.round(session), deadline)
      if (round?.equal && round.complete) finished.add(peer)
    }
    if (finished.size + unreachable === practice.options.keeper.others().length && !driver.isReceiving)
      return true
    if (performance.now() > deadline || signal?.aborted) return false
    await sleep(POLL_MS)
  }
}

function isUnreachable(practice: Practice, peer: string, elapsedMs: number): boolean {
  const { peers } = practice
  if (!peers || elapsedMs > UNREACHABLE_MS) return true
  const hasAddress = (practice.options.notes.peers.get(peer)?.addresses.length ?? 0) > 0
  if (!hasAddress) return !practice.options.lan || elapsedMs > LAN_MS
  return peers.failures(peer) >= FAILED_DIALS
}

async function within<T>(promise: Promise<T>, deadline: number): Promise<T | undefined> {
  const end = new AbortController()
  const timeout = sleep(Math.max(1, Math.min(deadline - performance.now(), UNREACHABLE_MS)), undefined, {
    signal: end.signal,
  })
  const result = await Promise.race([promise, timeout.catch(() => undefined)])
  end.abort()
  return result as T | undefined
}

async function waitIdle(practice: Practice, deadline: number, signal?: AbortSignal): Promise<boolean> {
  let quietSince = performance.now()
  for (;;) {
    if (practice.driver?.isBusy) quietSince = performance.now()
    if (performance.now() - quietSince >= IDLE_MS) return true
    if (performance.now() > deadline || signal?.aborted) return false
    await sleep(POLL_MS)
  }
}
