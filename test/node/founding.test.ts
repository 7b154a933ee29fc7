/** Into a practice: two ways at once, one that is given up, and one device after the other. */
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import type { Device } from '../../src/node/api.js'
import { PAIR_PROTOCOL } from '../../src/node/device/invite-driver.js'
import { createDevice } from '../../src/node/device.js'
import { createHost } from '../../src/node/host.js'
import { MAX_SMALL_FRAME_BYTES } from '../../src/protocol/pairing-rules.js'
import { seeded } from '../support/random.js'

const PIN = '482913'
const LISTEN = ['/ip4/127.0.0.1/tcp/0']
let root: string
let open: Device[]
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'kartoteka-founding-'))
  open = []
})
afterEach(async () => {
  for (const device of open) await device.close().catch(() => {})
  rmSync(root, { recursive: true })
})

async function start(name: string, online = false): Promise<Device> {
  const network = online ? { listen: LISTEN, lan: false } : { network: false }
  const device = await createDevice({ folder: join(root, name), ...network })
  open.push(device)
  return device
}
const outcomeOf = (work: Promise<unknown>) =>
  work.then(
    () => 'done',
    (error: { code: string }) => error.code,
  )
const found = (device: Device, name: string) => device.practice.create({ name, device: 'Desk', pin: PIN })

/** At the window somebody is being asked about the other device when this returns. */
async function knock(window: Device, joining: Device, signal?: AbortSignal) {
  await found(window, 'Old')
  await window.device.invite({ pin: PIN, minutes: 1, yes: false })
  const addresses = window.addresses()
  const way = { code: undefined, relays: [], addresses, device: 'Laptop', pin: PIN }
  const outcome = outcomeOf(joining.practice.join(way, signal))
  await vi.waitFor(async () => expect((await window.device.inviteState()).asking).not.toBeNull(), 10_000)
  return { outcome }
}

test('of two practices that are founded at once one stands, with what is written in it', async () => {
  const device = await start('desk')
  const made = ['One', 'Two'].map((name) => outcomeOf(found(device, name)))
  expect((await Promise.all(made)).sort()).toEqual(['done', 'has-practice'])
  const { practice } = await device.status()
  await device.cases.create({ json: '{"id":"a","patient":{"lastName":"Nowak"}}' })
  await device.close()
  const again = await start('desk')
  expect((await again.status()).practice).toEqual(practice)
  expect((await again.cases.list({ deleted: true })).map(({ id }) => id)).toEqual(['a'])
})

test('no practice is founded while this device waits to be let into another one', async () => {
  const [window, joining] = [await start('window', true), await start('joining', true)]
  const { outcome } = await knock(window, joining)
  expect(await outcomeOf(found(joining, 'New'))).toBe('busy')
  await window.device.answer({ add: true })
  expect(await outcome).toBe('done')
  expect((await joining.status()).practice?.name).toBe('Old')
})

test('addresses at which nothing is said keep nobody from joining at another one', async () => {
  const [window, joining] = [await start('window', true), await start('joining', true)]
  await found(window, 'Old')
  await window.device.invite({ pin: PIN, minutes: 1, yes: true })
  const silent = [createServer(), createServer()]
  for (const server of silent) await once(server.listen(0, '127.0.0.1'), 'listening')
  const nowhere = silent.map((server) => {
    const { port } = server.address() as AddressInfo
    return `/ip4/127.0.0.1/tcp/${port}/p2p/${window.id}`
  })
  const addresses = [...nowhere, ...window.addresses()]
  await joining.practice.join({ code: undefined, relays: [], addresses, device: 'Laptop', pin: PIN })
  expect((await joining.status()).practice?.name).toBe('Old')
  for (const server of silent) server.close()
})

test('who gives up joining can found a practice at once, and is not let into the other one', async () => {
  const [window, joining] = [await start('window', true), await start('joining', true)]
  const end = new AbortController()
  const { outcome } = await knock(window, joining, end.signal)
  end.abort()
  expect(await outcome).toBe('cancelled')
  await found(joining, 'New')
  await vi.waitFor(async () => expect((await window.device.inviteState()).asking).toBeNull(), 10_000)
  expect(await outcomeOf(window.device.answer({ add: true }))).toBe('nobody-asks')
  expect((await joining.status()).practice?.name).toBe('New')
})

test('joining that is given up before the network is there has been given up', async () => {
  let connect = () => {}
  const networkAfter = new Promise<void>((resolve) => {
    connect = resolve
  })
  const folder = join(root, 'joining')
  const joining = await createDevice({ folder, listen: LISTEN, lan: false, networkAfter })
  open.push(joining)
  const window = await start('window', true)
  await found(window, 'Old')
  await window.device.invite({ pin: PIN, minutes: 1, yes: true })
  const end = new AbortController()
  const addresses = window.addresses()
  const way = { code: undefined, relays: [], addresses, device: 'Laptop', pin: PIN }
  const outcome = outcomeOf(joining.practice.join(way, end.signal))
  end.abort()
  connect()
  expect(await outcome).toBe('closed')
  expect((await window.device.inviteState()).added).toEqual([])
})

test('who was added in one window is not shown in the next', async () => {
  const [window, joining] = [await start('window', true), await start('joining', true)]
  const { outcome } = await knock(window, joining)
  await window.device.answer({ add: true })
  expect(await outcome).toBe('done')
  expect((await window.device.inviteState()).added.map(({ name }) => name)).toEqual(['Laptop'])
  await window.device.invite({ pin: PIN, minutes: 1, yes: false })
  expect((await window.device.inviteState()).added).toEqual([])
})

test('who knocks is not listened to for longer than any of its words can be', async () => {
  const window = await start('window', true)
  await found(window, 'Praxis')
  await window.device.invite({ pin: PIN, minutes: 1, yes: false })
  const stranger = await createHost({ privateKey: seeded(7).bytes(32), listen: [] })
  if ('code' in stranger) throw new Error(stranger.sentence)
  try {
    const answerTo = async (bytes: number) => {
      const opened = await stranger.dial(window.addresses(), PAIR_PROTOCOL)
      if ('code' in opened) throw new Error(opened.sentence)
      opened.channel.send('live', new Uint8Array(bytes))
      for await (const _ of opened.channel.messages) return 'refused'
      return (await opened.channel.closed).code
    }
    expect(await answerTo(MAX_SMALL_FRAME_BYTES)).toBe('refused')
    expect(await answerTo(MAX_SMALL_FRAME_BYTES + 1)).toBe('reset')
  } finally {
    await stranger.stop()
  }
})

test('a window is closed when its time is over, also where the computer has slept', async () => {
  const [window, joining] = [await start('window', true), await start('joining', true)]
  await found(window, 'Praxis')
  await window.device.invite({ pin: PIN, minutes: 1, yes: true })
  expect((await window.device.inviteState()).open).toBe(true)
  vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 61_000 })
  try {
    const way = { code: undefined, relays: [], addresses: window.addresses(), device: 'Laptop', pin: PIN }
    expect(await outcomeOf(joining.practice.join(way))).toBe('closed')
    expect(await window.device.inviteState()).toMatchObject({ open: false, closed: 'expired', added: [] })
  } finally {
    vi.useRealTimers()
  }
})
