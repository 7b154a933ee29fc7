/** Two devices each add one while they are apart: of the two branches of the roster one loses, and nobody gets lost. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import type { Device } from '../../src/node/api.js'
import { RosterKeeper } from '../../src/node/device/roster-keeper.js'
import { createDevice } from '../../src/node/device.js'

const PIN = '482913'
let root: string
let open: Map<string, Device>
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'kartoteka-branches-'))
  open = new Map()
})
afterEach(async () => {
  await stop(...open.keys())
  rmSync(root, { recursive: true })
})

async function start(name: string): Promise<Device> {
  const folder = join(root, name)
  const device = await createDevice({ folder, listen: ['/ip4/127.0.0.1/tcp/0'], lan: false })
  open.set(name, device)
  return device
}
async function stop(...names: string[]): Promise<void> {
  for (const name of names) {
    await open.get(name)?.close()
    open.delete(name)
  }
}

async function add(from: string, name: string): Promise<Device> {
  const [window, joining] = [open.get(from)!, await start(name)]
  await window.device.invite({ pin: PIN, minutes: 1, yes: true })
  const addresses = window.addresses()
  await joining.practice.join({ code: undefined, relays: [], addresses, device: name, pin: PIN })
  return joining
}
const namesOf = async (device: Device) => (await device.device.list()).map(({ name }) => name).sort()
const casesOf = async (device: Device) => (await device.cases.list({ deleted: false })).map(({ id }) => id)
const problemsOf = async (device: Device) => (await device.status()).problems.map(({ code }) => code)
const meet = (device: Device, other: Device) =>
  device.device.address({ id: other.id, addresses: other.addresses() })
const SOON = { timeout: 20_000, interval: 100 }

test('the device of the branch that lost starts again, and is let in when its adder has heard of it', async () => {
  const office = await start('Office')
  await office.practice.create({ name: 'Praxis', device: 'Office', pin: PIN })
  const home = await add('Office', 'Home')
  await vi.waitFor(async () => expect(await namesOf(home)).toEqual(['Home', 'Office']), SOON)
  await stop('Office')
  const laptop = await add('Home', 'Laptop')
  await laptop.cases.create({ json: '{"id":"typed","patient":{"lastName":"Nowak"}}' })
  await stop('Laptop', 'Home')
  const again = await start('Office')
  await add('Office', 'Tablet')
  await stop('Tablet')

  // Of the two that were added last the laptop's addition loses: who has made it came later than the office.
  const lost = await start('Laptop')
  await meet(lost, again)
  await vi.waitFor(async () => expect(await problemsOf(lost)).toContain('left-out'), SOON)
  expect(await namesOf(lost)).toEqual(['Home', 'Laptop', 'Office'])
  // They part each time, and both look at both lists before that: later each time.
  await new Promise((resolve) => setTimeout(resolve, 3_000))
  const looks = vi.spyOn(RosterKeeper.prototype, 'apply')
  await new Promise((resolve) => setTimeout(resolve, 3_000))
  expect(looks.mock.calls.length).toBeLessThan(5)
  looks.mockRestore()
  await stop('Laptop')
  const restarted = await start('Laptop')
  expect(await casesOf(restarted)).toEqual(['typed'])

  const adder = await start('Home')
  await meet(adder, again)
  const all = ['Home', 'Laptop', 'Office', 'Tablet']
  await vi.waitFor(async () => expect(await namesOf(again)).toEqual(all), SOON)
  await meet(restarted, again)
  await vi.waitFor(async () => expect(await namesOf(restarted)).toEqual(all), SOON)
  expect(await problemsOf(restarted)).not.toContain('left-out')
  await vi.waitFor(async () => expect(await casesOf(again)).toEqual(['typed']), SOON)
  await vi.waitFor(async () => expect(await casesOf(adder)).toEqual(['typed']), SOON)
})
