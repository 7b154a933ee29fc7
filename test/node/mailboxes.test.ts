/** Mailboxes alone, with a host, a mail driver and notes that a test holds in its hands. */
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { idOf, Mailboxes } from '../../src/node/device/mailboxes.js'
import type { Timers } from '../../src/node/driver-session.js'
import { peerIdToPublicKey, publicKeyToPeerId } from '../../src/node/peer-id.js'
import { toHex } from '../../src/protocol/bytes.js'
import { makeDevice } from '../protocol/roster-helpers.js'
import { seeded } from '../support/random.js'

async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await sleep(2)
}

const timers: Timers = {
  after(ms, run) {
    const timer = setTimeout(run, ms)
    return () => clearTimeout(timer)
  },
}

const random = seeded(99)
const key = () => makeDevice((n) => random.bytes(n), 'x').ed

function world() {
  const ed = key()
  const relay = key()
  const id = publicKeyToPeerId(relay)
  const address = `/ip4/127.0.0.1/tcp/9/p2p/${id}`
  const other = `/ip4/127.0.0.1/tcp/8/p2p/${publicKeyToPeerId(key())}`
  const settings = new Map<string, unknown>([
    ['relays', [address, other]],
    ['collectsMail', { [toHex(ed)]: true }],
  ])
  const keeper = { current: { opened: { settings } }, isMember: () => true, others: () => [] }
  const stored = new Map<string, unknown>()
  const notes = {
    read: async (name: string) => stored.get(name),
    saveDurably: async (name: string, value: unknown) => {
      await sleep(1)
      stored.set(name, value)
    },
  }
  let targets: { addresses: string[]; isVisit?: boolean }[] = []
  const net = { up: true, closesBehind: false }
  const said: string[] = []
  const states = () =>
    targets.map(({ addresses }) => ({
      id: /p2p\/(.*)$/.exec(addresses[0]!)![1]!,
      addresses,
      state: addresses[0] === address && net.up ? 'connected' : 'unreachable',
      circuit: false,
    }))
  const sessions: {
    visit: string | undefined
    open: boolean
    machine: { isReady: boolean; isCollected: boolean }
  }[] = []
  const host = {
    setRelays: (t: never[]) => {
      targets = t
    },
    relays: states,
    retryRelays: () => {},
    onRelayChanged: () => {},
    dial: async () => {
      await sleep(1)
      if (!net.up) return { code: 'unreachable' }
      let wake = () => {}
      let closed = false
      const channel = {
        send: () => {},
        close: async () => {
          closed = true
          wake()
        },
        messages: (async function* () {
          while (!closed) {
            await new Promise<void>((resolve) => {
              wake = resolve
            })
            if (!closed) yield { bytes: new Uint8Array(0) }
          }
        })(),
        push: () => wake(),
      }
      return { channel }
    },
  }
  const mail = {
    connect: async (link: never, visit?: string) => {
      await sleep(1)
      const session = { visit, open: true, machine: { isReady: false, isCollected: false }, link }
      sessions.push(session)
      return session
    },
    disconnect: (session: { open: boolean }) => {
      session.open = false
    },
    window: () => {},
    receive: async () => {},
    leave: async () => {
      said.push('leave')
      if (net.closesBehind) await attachedOf()!.channel.close()
      await sleep(1)
      return true
    },
    inventory: async () => ({ waiting: said.includes('waits') ? [{ recipient: ed }] : [] }),
  }
  const mailboxes = new Mailboxes({
    host,
    mail,
    keeper,
    notes,
    timers,
    ed,
    meetingRelays: () => [],
    status: () => {},
  } as never)
  const attachedOf = () =>
    (
      mailboxes as never as {
        attached: Map<string, { session: never; channel: { push: () => void; close: () => Promise<void> } }>
      }
    ).attached.get(id)
  const greet = async () => {
    await until(() => attachedOf() !== undefined)
    const at = attachedOf()!
    ;(at.session as never as { machine: { isReady: boolean } }).machine.isReady = true
    at.channel.push()
    await sleep(5)
  }
  return {
    address,
    other,
    settings,
    net,
    said,
    sessions,
    mailboxes,
    greet,
    targets: () => targets,
  }
}

it('what came after it was emptied, before it could be left, is taken in before LEAVE', async () => {
  const w = world()
  await w.mailboxes.start()
  await w.greet()
  w.settings.set('relays', [w.other])
  w.mailboxes.apply()
  await w.greet()
  expect(w.sessions.map(({ visit }) => visit)).toEqual([undefined, 'empty'])
  // All was taken in; and now the network is gone, for hours.
  w.net.up = false
  const emptying = w.sessions[1]!
  emptying.machine.isCollected = true
  await until(() => !emptying.open)
  // Meanwhile another device leaves mail there. The network is back.
  w.net.up = true
  w.mailboxes.retry()
  await w.greet()
  // And more comes between the two conversations.
  w.said.push('waits')
  w.sessions[2]!.machine.isCollected = true
  await until(() => w.sessions.length === 4)
  await w.greet()
  await until(() => w.sessions.length === 5)
  expect(w.sessions.map(({ visit }) => visit)).toEqual([undefined, 'empty', 'empty', 'leave', 'empty'])
  expect(w.said).toEqual(['waits'])
  w.mailboxes.stop()
})

it('a relay that does not take the practice is told from one that is away for a while', async () => {
  const w = world()
  await w.mailboxes.start()
  const [first] = w.targets()
  const relay = peerIdToPublicKey(idOf(first!.addresses[0]!))!
  const codes = ['lost', 'silent', 'contested'].map((code) => {
    w.mailboxes.closed(toHex(relay), code)
    return w.mailboxes.views()[0]!.code
  })
  expect(codes).toEqual(['relay-unreachable', 'relay-unreachable', 'relay-refused'])
  w.mailboxes.stop()
})

it('an answer to LEAVE counts though the relay has closed right behind it', async () => {
  const w = world()
  await w.mailboxes.start()
  await w.greet()
  w.settings.set('relays', [w.other])
  w.mailboxes.apply()
  await w.greet()
  w.net.closesBehind = true
  w.sessions[1]!.machine.isCollected = true
  await until(() => w.sessions.length === 3)
  await w.greet()
  await until(() => w.said.includes('leave'))
  await sleep(20)
  expect(w.targets().filter((each) => each.isVisit)).toEqual([])
  expect(w.sessions).toHaveLength(3)
  w.mailboxes.stop()
})

it('of a relay that moved, the new address is noted too while the session stands', async () => {
  const w = world()
  await w.mailboxes.start()
  await sleep(20)
  await w.greet()
  const moved = w.address.replace('tcp/9', 'tcp/7')
  w.settings.set('relays', [moved, w.address, w.other])
  w.mailboxes.apply()
  await sleep(20)
  w.settings.set('relays', [moved, w.other])
  w.mailboxes.apply()
  await sleep(20)
  w.settings.set('relays', [w.other])
  w.mailboxes.apply()
  await sleep(20)
  expect(
    w
      .targets()
      .filter((each) => each.isVisit)
      .flatMap((each) => each.addresses),
  ).toContain(moved)
  w.mailboxes.stop()
})
