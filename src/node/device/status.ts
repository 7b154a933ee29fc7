/** What a device says about itself and the others: status, the device list, and waiting for them. */
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { equalBytes, fromHex, toHex } from '../../protocol/bytes.js'
import type { DeviceApi } from '../api.js'
import type { DeviceStatus, Status } from '../contract.js'
import type { RelaySession } from '../mail-driver-session.js'
import { publicKeyToPeerId } from '../peer-id.js'
import { collectsMail, relayAddresses } from './mail-roster.js'
import type { Practice } from './practice-state.js'
import { newerStore, writeRefusal } from './store-refusals.js'
import { damageSentence, ROTTEN } from './store-watch.js'

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
    collectsMail: collectsMail(keeper, identity.ed),
  }
  const reachesMailbox = self.collectsMail && (practice.mailboxes?.ready().length ?? 0) > 0
  const others = keeper.others().map((device): DeviceStatus => {
    const peer = toHex(device)
    const connected = practice.peers?.sessionOf(peer) !== undefined
    const behind = practice.behind(device)
    const collects = collectsMail(keeper, device)
    const direct = practice.peers?.pathOf(peer) ?? 'none'
    return {
      id: publicKeyToPeerId(device),
      name: keeper.nameOf(device),
      self: false,
      path: direct === 'none' && collects && reachesMailbox ? 'mailbox' : direct,
      connected,
      lastSeen: connected ? now() : (notes.peers.get(peer)?.lastSeen ?? null),
      upToDate: behind === 0,
      behind: behind ?? changesHeld(practice),
      collectsMail: collects,
    }
  })
  return [self, ...others]
}

function changesHeld(practice: Practice): number {
  if (!practice.hasPractice) return 0
  const { logs, docs } = practice.replica()
  return [...logs.all()].reduce((sum, { seq }) => sum + seq, docs.jotted)
}

async function readStatus(practice: Practice, folder: string, version: string): Promise<Status> {
  const { keeper, identity } = practice.options
  const state = keeper.current
  const meta = practice.hasPractice ? practice.replica().meta : undefined
  return {
    practice: state
      ? {
          id: toHex(state.roster.practiceId),
          name: state.opened.practiceName,
          pinChosen: practice.options.notes.pinChosen,
        }
      : null,
    device: { id: publicKeyToPeerId(identity.ed), name: state ? keeper.nameOf(identity.ed) : '' },
    version,
    cases: { total: meta?.total ?? 0, archived: meta?.archived ?? 0, deleted: meta?.deleted ?? 0 },
    state: mailboxState(practice),
    devices: deviceStatuses(practice),
    mailbox: mailboxStatus(practice),
    transfer: practice.driver?.transfer ?? null,
    store: { bytes: await folderBytes(join(folder, 'store')) },
    problems: problems(practice),
  }
}

function mailboxStatus(practice: Practice): Status['mailbox'] {
  const { keeper, identity } = practice.options
  const { mailboxes, mail } = practice
  const isOn = collectsMail(keeper, identity.ed)
  const views = mailboxes?.views()
  return {
    configured: isOn,
    connected: isOn && (mailboxes?.ready().length ?? 0) > 0,
    relays:
      views?.map(({ address, connected, sentence }) => ({ address, connected, sentence })) ??
      relayAddresses(keeper).map((address) => ({ address, connected: false, sentence: null })),
    pendingOut: isOn ? notLeft(practice) : 0,
    pendingIn: [...(mail?.sessions.values() ?? [])].reduce((sum, { machine }) => sum + machine.incoming, 0),
  }
}

/** The most changes that a device which collects lacks, and that don't wait for it at a relay. */
function notLeft(practice: Practice): number {
  const { keeper } = practice.options
  if (!practice.mail || !practice.hasPractice) return 0
  const { docs } = practice.replica()
  const logs = [...practice.replica().logs.all()]
  const counts = keeper
    .others()
    .filter((device) => collectsMail(keeper, device))
    .map((device) => {
      const reach = practice.mail!.reach(device)
      return logs.reduce((sum, { log, seq }) => sum + Math.max(0, seq - (reach.get(log) ?? 0)), docs.jotted)
    })
  return Math.max(0, ...counts)
}

function mailboxState(practice: Practice): Status['state'] {
  const { keeper, identity } = practice.options
  if (!collectsMail(keeper, identity.ed)) return 'off'
  const ready = practice.mailboxes?.ready() ?? []
  if (ready.length === 0) return 'offline'
  const isBusy = practice.driver?.isReceiving || ready.some(({ machine }) => !machine.isCollected)
  return isBusy || notLeft(practice) > 0 ? 'syncing' : 'connected'
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
  if (practice.isRotten) list.push({ code: 'store-rotten', sentence: ROTTEN })
  if (practice.options.sifted) list.push({ code: 'store-repaired', sentence: damageSentence(keeper) })
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
  if (keeper.isLeftOut) {
    list.push({
      code: 'left-out',
      sentence:
        'Another list of devices counts now, and this device isn’t in it yet. Connect it to the device that added it.',
    })
  }
  list.push(...relayProblems(practice))
  for (const [peer, code] of practice.peerProblems) {
    const key = fromHex(peer)
    if (!keeper.isMember(key)) continue
    const name = keeper.nameOf(key)
    const sentence =
      code === 'peer-too-old'
        ? `"${name}" has an older version of Kartoteka. Update it there.`
        : `"${name}" has a newer version of Kartoteka. Update it here.`
    list.push({ code, sentence })
  }
  return list
}

function relayProblems(practice: Practice): Status['problems'] {
  const { mail, mailboxes } = practice
  if (!mail || !mailboxes?.isOn) return []
  const list: Status['problems'] = []
  for (const { code, sentence, session } of mailboxes.views()) {
    if (code && sentence) list.push({ code: code === 'relay-refused' ? 'relay-unreachable' : code, sentence })
    if (session?.isFull) {
      list.push({
        code: 'mailbox-full',
        sentence: 'The cloud mailbox is full. Everything is saved here; direct sync goes on.',
      })
    }
    if (session?.isWithholding) {
      list.push({
        code: 'relay-withholding',
        sentence: 'This relay keeps something back. Direct sync is not affected. Ask its operator.',
      })
    }
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
  const mailbox = new MailboxWait(practice)
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
    const isDirect = finished.size + unreachable === practice.options.keeper.others().length
    if (isDirect && !driver.isReceiving && mailbox.isThrough(finished)) return true
    if (performance.now() > deadline || signal?.aborted) return false
    await sleep(POLL_MS)
  }
}

/** With the cloud mailbox on: everything was collected, and what others can't be given now waits for them there. */
class MailboxWait {
  private readonly isOn: boolean
  /** A relay has answered since, and nothing waited for this device there. */
  private isCollected = false
  private asking = false

  constructor(private readonly practice: Practice) {
    const { keeper, identity } = practice.options
    this.isOn = collectsMail(keeper, identity.ed)
    if (!this.isOn) return
    practice.mailboxes?.retry()
    practice.mail?.hurry(true)
  }

  isThrough(finished: ReadonlySet<string>): boolean {
    const { mail, mailboxes } = this.practice
    if (!this.isOn || !mail || !mailboxes) return true
    const ready = mailboxes.ready()
    if (ready.length === 0) return false
    if (!this.isCollected) {
      this.ask(ready)
      return false
    }
    if (ready.some(({ machine }) => !machine.isCollected || machine.isChecking)) return false
    const { keeper } = this.practice.options
    const away = keeper
      .others()
      .filter((device) => !finished.has(toHex(device)) && collectsMail(keeper, device))
    const logs = [...this.practice.replica().logs.all()]
    const isLeft = away.every((device) => {
      const reach = mail.reach(device)
      return logs.every(({ log, seq }) => seq <= (reach.get(log) ?? 0))
    })
    if (!isLeft) mail.hurry()
    return isLeft
  }

  private ask(ready: RelaySession[]): void {
    const { mail, options } = this.practice
    if (this.asking || !mail) return
    this.asking = true
    void Promise.all(ready.map((session) => mail.inventory(session))).then((inventories) => {
      this.asking = false
      const own = options.identity.ed
      const isEmpty = inventories.every(
        (inventory) => inventory && !inventory.waiting.some(({ recipient }) => equalBytes(recipient, own)),
      )
      if (isEmpty && ready.every(({ machine }) => machine.isCollected)) this.isCollected = true
    })
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
    if (practice.driver?.isBusy || practice.mail?.isBusy) quietSince = performance.now()
    if (performance.now() - quietSince >= IDLE_MS) return true
    if (performance.now() > deadline || signal?.aborted) return false
    await sleep(POLL_MS)
  }
}
