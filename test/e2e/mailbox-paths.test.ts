/** Devices behind NATs, far apart and online at the same time: the path that status names, and the same cases. */
import { describe, expect, it } from 'vitest'
import { Lab, labProblem, type Nat, RELAY_ADDRESS } from '../netlab/lab.js'
import { expectSameCases, importFull, show, statusOf } from '../support/mail-pair.js'
import {
  begin,
  pinFile,
  startDevice,
  synced,
  type TestDevice,
  tempFolder,
  until,
} from '../support/processes.js'

const problem = labProblem()
const PATIENCE_MS = 90_000
const LISTEN = '/ip4/0.0.0.0/tcp/4500'

// One line says that it is skipped, and why.
if (problem === undefined) describe('two devices behind NATs, and a relay', () => paths())
else it('the network lab', (context) => context.skip(problem))

function paths(): void {
  it('are "direct" where NATs keep ports, by WebRTC', () =>
    expectPath({ a: 'preserving', b: 'preserving' }, [], 'direct'))
  it('are "relayed" where both NATs choose ports at random', () =>
    expectPath({ a: 'random', b: 'random' }, [], 'relayed'))
  it('are "mailbox" where the relay passes nothing on', () =>
    expectPath({ a: 'preserving', b: 'preserving' }, ['--no-circuit'], 'mailbox'))
}

async function expectPath(nats: { a: Nat; b: Nat }, later: string[], path: string): Promise<void> {
  const lab = new Lab(nats)
  const folder = `${tempFolder()}/relay`
  let relay = await startRelay(lab, folder, [])
  const devices = { netns: lab.device('a'), listen: [LISTEN] }
  const desk = await startDevice(devices)
  const laptop = await startDevice({ ...devices, netns: lab.device('b') })
  await desk.ok('practice', 'create', '--name', 'Gabinet', '--device', 'Desk', '--pin-file', pinFile())
  await desk.ok('mailbox', 'on', relay.address)
  const { code } = await desk.ok<{ code: string }>('device', 'invite', '--pin-file', pinFile(), '--yes')
  await laptop.ok(
    ...['practice', 'join', code, '--relay', relay.address, '--device', 'Laptop', '--pin-file', pinFile()],
  )
  await laptop.ok('mailbox', 'on')
  if (later.length > 0) {
    // A path that stands would go on without the relay.
    await desk.stop()
    await laptop.stop()
    relay.child.kill('SIGTERM')
    await relay.ended
    relay = await startRelay(lab, folder, later)
    await Promise.all([desk.start(), laptop.start()])
  }
  await importFull(desk, 60, 1)
  await importFull(laptop, 60, 2)
  await until(async () => (await pathOf(desk)) === path && (await pathOf(laptop)) === path, PATIENCE_MS, 500)
  await synced(desk)
  await synced(laptop)
  await synced(desk)
  await expectSameCases(desk, laptop, 120)
  expect([await pathOf(desk), await pathOf(laptop)]).toEqual([path, path])
  expect((await statusOf(desk)).problems).toEqual([])
  await until(async () => (await show(desk)).pendingTotal === 0)
  expect([lab.strangersAsked('a'), lab.strangersAsked('b')]).toEqual([0, 0])
}

async function pathOf(device: TestDevice): Promise<string | undefined> {
  return (await statusOf(device)).devices.find(({ self }) => !self)?.path
}

async function startRelay(lab: Lab, folder: string, args: string[]) {
  const listen = `/ip4/${RELAY_ADDRESS}/tcp/4001`
  const running = begin(['relay', '--data', folder, '--json', '--listen', listen, ...args], {
    netns: lab.relay,
  })
  await until(() => running.seen.stdout.includes('\n'))
  const { id } = JSON.parse(running.seen.stdout) as { id: string }
  return { ...running, address: `${listen}/p2p/${id}` }
}
