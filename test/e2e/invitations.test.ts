/** Everything that can go wrong while a device is added: one sentence each, and nothing is changed. */
import { expect, it } from 'vitest'
import type { Status } from '../../src/node/contract.js'
import {
  begin,
  createPractice,
  openInvite,
  pinFile,
  refusalOf,
  startDevice,
  type TestDevice,
  tempFile,
  until,
} from '../support/processes.js'

const NO_WINDOW = 'No device is waiting for a new one. Choose "Add a device" on one that is on.'

function joining(at: TestDevice | string, pin?: string): string[] {
  const address = typeof at === 'string' ? at : at.address
  return ['practice', 'join', '--address', address, '--device', 'Laptop', '--pin-file', pinFile(pin)]
}

async function expectNothingJoined(desk: TestDevice, laptop: TestDevice): Promise<void> {
  expect((await laptop.ok<Status>('status')).practice).toBeNull()
  expect((await laptop.refused('case', 'list')).code).toBe('no-practice')
  expect((await desk.ok<Status>('status')).devices).toHaveLength(1)
}

it('counts wrong PINs, says how many tries are left, and closes the window after five', async () => {
  const [desk, laptop] = await Promise.all([startDevice(), startDevice()])
  await createPractice(desk)
  await openInvite(desk)
  const sentences: string[] = []
  for (let wrong = 1; wrong <= 5; wrong++)
    sentences.push((await laptop.refused(...joining(desk, `wrong pin ${wrong}`))).sentence)
  expect(sentences.slice(0, 3)).toEqual(
    [4, 3, 2].map((left) => `The PIN doesn't match, or that isn't your device. ${left} tries left.`),
  )
  expect(sentences[3]).toBe("The PIN doesn't match, or that isn't your device. 1 try left.")
  expect(sentences[4]).toMatch(/^The PIN doesn't match|^Too many wrong PINs/)
  // Also the right PIN comes too late, for this device and for a fresh one.
  const fresh = await startDevice()
  expect((await fresh.refused(...joining(desk))).sentence).toBe(NO_WINDOW)
  await laptop.refused(...joining(desk))
  await expectNothingJoined(desk, laptop)
  // A further window starts a new count.
  expect(await openInvite(desk)).toMatchObject({ triesLeft: 5 })
  await fresh.ok(...joining(desk))
})

it('still knows the wrong tries of a window after kill −9 of the inviting device', async () => {
  const [desk, laptop] = await Promise.all([startDevice(), startDevice()])
  await createPractice(desk)
  await openInvite(desk)
  for (const wrong of ['wrong one', 'wrong two']) await laptop.refused(...joining(desk, wrong))
  await desk.kill()
  await desk.start()
  expect(await (await desk.link()).device.inviteState()).toMatchObject({ open: false, triesLeft: 3 })
  // The PIN has to be typed again.
  expect((await laptop.refused(...joining(desk))).sentence).toBe(NO_WINDOW)
  await expectNothingJoined(desk, laptop)
  await openInvite(desk)
  await laptop.ok(...joining(desk))
})

it('accepts no weak PIN where one is chosen', async () => {
  const desk = await startDevice()
  const refusedPins = ['12345', 'abc', '000000', '123456', '654321', 'abcdef', 'Gabinet', 'gabinet', '']
  const codes: Record<string, string> = {}
  for (const pin of refusedPins) {
    const create = ['practice', 'create', '--name', 'Gabinet', '--device', 'Desk', '--pin-file', pinFile(pin)]
    codes[pin] = (await desk.refused(...create)).sentence
  }
  expect(Object.values(codes).every((sentence) => sentence.length > 10)).toBe(true)
  expect(new Set([codes['12345'], codes['000000'], codes['123456'], codes.Gabinet]).size).toBe(4)
  expect((await desk.ok<Status>('status')).practice).toBeNull()
})

it('refuses a mistyped code, what is no code, and the code of another practice', async () => {
  const [desk, other, laptop] = await Promise.all([startDevice(), startDevice(), startDevice()])
  await createPractice(desk)
  await createPractice(other)
  const { code } = await openInvite(desk)
  const { code: foreign } = await openInvite(other)
  const mistyped = code.replace(/^./, (first) => (first === '7' ? '8' : '7'))
  const join = (text: string) => ['practice', 'join', text, ...joining(desk).slice(2)]
  expect((await laptop.refused(...join(mistyped))).sentence).toContain('mistyped')
  expect((await laptop.refused(...join('hello'))).sentence).toContain("isn't a practice code")
  expect((await laptop.refused(...join(foreign))).code).toBe('other-practice')
  await expectNothingJoined(desk, laptop)
  // None of these was a try.
  expect(await (await desk.link()).device.inviteState()).toMatchObject({ open: true, triesLeft: 5 })
  await laptop.ok(...join(code))
})

it('says that no window is open: at an address, at a dead one, and on a network without devices', async () => {
  const [desk, ...others] = await Promise.all([startDevice(), startDevice(), startDevice(), startDevice()])
  await createPractice(desk)
  const dead = '/ip4/127.0.0.1/tcp/9'
  const nowhere = ['practice', 'join', '--device', 'Laptop', '--pin-file', pinFile()]
  const refusals = await Promise.all([
    others[0]!.refused(...joining(desk)),
    others[1]!.refused(...joining(dead)),
    others[2]!.refused(...nowhere),
  ])
  expect(refusals.map(({ sentence }) => sentence)).toEqual([NO_WINDOW, NO_WINDOW, NO_WINDOW])
  await expectNothingJoined(desk, others[0]!)
})

it('lets one device at a time in: a second one hears that the window is busy', async () => {
  const [desk, laptop, phone] = await Promise.all([startDevice(), startDevice(), startDevice()])
  await createPractice(desk)
  await desk.ok('device', 'invite', '--pin-file', pinFile())
  const first = begin([...joining(desk), '--data', laptop.folder, '--json'])
  const client = await desk.link()
  await until(async () => (await client.device.inviteState()).asking !== null)
  expect((await client.device.inviteState()).asking).toMatchObject({ name: 'Laptop', id: laptop.id })
  const second = await phone.refused(...joining(desk))
  expect(second.code).toBe('busy')
  await client.device.answer({ add: true })
  expect((await first.ended).code).toBe(0)
  const { devices } = await desk.ok<Status>('status')
  expect(devices.map(({ id }) => id)).toEqual([desk.id, laptop.id])
  expect((await phone.ok<Status>('status')).practice).toBeNull()
})

it('changes nothing when the answer is "Not mine"', async () => {
  const [desk, laptop] = await Promise.all([startDevice(), startDevice()])
  await createPractice(desk)
  await desk.ok('device', 'invite', '--pin-file', pinFile())
  const join = begin([...joining(desk), '--data', laptop.folder, '--json'])
  const client = await desk.link()
  await until(async () => (await client.device.inviteState()).asking !== null)
  await client.device.answer({ add: false })
  expect(refusalOf(await join.ended).sentence).toBe("The other device didn't accept this one.")
  expect(await client.device.inviteState()).toMatchObject({ open: false, added: [] })
  await expectNothingJoined(desk, laptop)
})

it('refuses a second practice, and to join twice', async () => {
  const [desk, laptop] = await Promise.all([startDevice(), startDevice()])
  await createPractice(desk)
  await openInvite(desk)
  await laptop.ok(...joining(desk))
  for (const device of [desk, laptop]) {
    expect((await device.refused('practice', 'create', '--name', 'Second', '--device', 'Desk')).code).toBe(
      'has-practice',
    )
    expect((await device.refused(...joining(desk))).code).toBe('has-practice')
  }
  // One success has closed the window.
  const fresh = await startDevice()
  expect((await fresh.refused(...joining(desk))).sentence).toBe(NO_WINDOW)
  expect(
    (await fresh.refused('practice', 'join', '--device', 'x', '--pin-file', tempFile('pin', PIN_TOO_LONG)))
      .code,
  ).toBe('file-too-long')
})

const PIN_TOO_LONG = 'x'.repeat(5000)
