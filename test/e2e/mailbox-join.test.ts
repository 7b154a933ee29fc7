/** Joining by practice code and relay when something is wrong; and clocks that are wrong by ten years. */
import { expect, it } from 'vitest'
import { expectSameCases, importFull, show, statusOf } from '../support/mail-pair.js'
import { begin, pinFile, startDevice, synced, until } from '../support/processes.js'
import { RelayProcess } from '../support/relay-process.js'

/** "No window found: exit 1 within 10 s." */
const ANSWER_MS = 10_000

const TEN_YEARS_MS = 10 * 365.25 * 86_400_000

it('says what is wrong with a join by a relay: PIN, code, window, relay; and then lets the device in', async () => {
  const relay = await new RelayProcess().start()
  const address = relay.addresses[0]!
  const [desk, laptop] = await Promise.all([startDevice(), startDevice()])
  await desk.ok('practice', 'create', '--name', 'Gabinet', '--device', 'Desk', '--pin-file', pinFile())
  await desk.ok('mailbox', 'on', address)
  const { code } = await desk.ok<{ code: string }>('practice', 'code')
  const refusal = async (typed: string, at: string, pin: string) => {
    const began = performance.now()
    const found = await laptop.refused(
      ...['practice', 'join', typed, '--relay', at, '--device', 'Laptop', '--pin-file', pinFile(pin)],
    )
    expect(performance.now() - began).toBeLessThan(ANSWER_MS)
    return found
  }
  expect(await refusal(code, address, 'tulipan-7')).toEqual({
    code: 'closed',
    sentence: 'No device is waiting for a new one. Choose "Add a device" on one that is on.',
  })
  await desk.ok('device', 'invite', '--pin-file', pinFile(), '--yes')
  for (const triesLeft of [4, 3])
    expect(await refusal(code, address, 'hiacynt-8')).toEqual({
      code: 'wrong-pin',
      sentence: `The PIN doesn't match, or that isn't your device. ${triesLeft} tries left.`,
    })
  const mistyped = code.replace(/^./, (first) => (first === '2' ? '3' : '2'))
  expect(await refusal(mistyped, address, 'tulipan-7')).toEqual({
    code: 'code-mistyped',
    sentence: 'The practice code is mistyped. Compare it with the other device.',
  })
  const [, port] = /\/tcp\/(\d+)\//.exec(address)!
  expect(await refusal(code, address.replace(port!, '1'), 'tulipan-7')).toMatchObject({
    code: 'relay-unreachable',
    sentence: "The relay can't be reached. Check its address and the connection.",
  })
  expect(await refusal(code, address.replace(/p2p\/.*/, `p2p/${desk.id}`), 'tulipan-7')).toMatchObject({
    code: 'relay-changed',
    sentence: expect.stringContaining('Nothing was sent.'),
  })
  expect(await refusal(code, 'nonsense', 'tulipan-7')).toMatchObject({ code: 'bad-address' })
  expect(await statusOf(laptop)).toMatchObject({ practice: null })

  await laptop.ok(
    ...['practice', 'join', code, '--relay', address, '--device', 'Laptop', '--pin-file', pinFile()],
  )
  expect((await statusOf(laptop)).devices.map(({ name }) => name).sort()).toEqual(['Desk', 'Laptop'])
})

/** Every clock of the calendar that the process reads is wrong by so much. */
function wrongBy(milliseconds: number): Record<string, string> {
  const script = `const Real = Date, by = ${milliseconds}
globalThis.Date = class extends Real {
  constructor(...given) { given.length === 0 ? super(Real.now() + by) : super(...given) }
  static now() { return Real.now() + by }
}`
  return { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(script)}` }
}

it('does not care about clocks that are wrong by ten years, of either device or of the relay', async () => {
  const relay = await new RelayProcess().start()
  const address = relay.addresses[0]!
  const [desk, laptop] = await Promise.all([
    startDevice({ env: wrongBy(TEN_YEARS_MS) }),
    startDevice({ env: wrongBy(-TEN_YEARS_MS) }),
  ])
  await desk.ok('practice', 'create', '--name', 'Gabinet', '--device', 'Desk', '--pin-file', pinFile())
  await desk.ok('mailbox', 'on', address)
  const { code, expiresAt } = await desk.ok<{ code: string; expiresAt: number }>(
    ...['device', 'invite', '--pin-file', pinFile(), '--yes'],
  )
  expect(expiresAt - Date.now()).toBeGreaterThan(TEN_YEARS_MS - 60_000)
  await laptop.ok(
    ...['practice', 'join', code, '--relay', address, '--device', 'Laptop', '--pin-file', pinFile()],
  )
  await laptop.ok('mailbox', 'on')
  await synced(laptop)
  await laptop.stop()
  await importFull(desk, 20, 1)
  await synced(desk)
  await desk.stop()
  await laptop.start()
  await synced(laptop)
  await expectSameCases(laptop, desk, 20)
  await importFull(laptop, 20, 2)
  await synced(laptop)
  // Asked of the one that left it: the other one would collect it as soon as it runs.
  expect((await show(laptop)).pendingTotal).toBeGreaterThan(0)
  await laptop.stop()

  // The relay's calendar jumps: what waits there has expired, and is offered again.
  await relay.stop()
  const folder = relay.folder
  const listen = address.replace(/\/p2p\/.*$/, '')
  const jumped = begin(['relay', '--data', folder, '--json', '--listen', listen, '--stun-port', '0'], {
    env: wrongBy(TEN_YEARS_MS),
  })
  await until(() => jumped.seen.stdout.includes('\n'))
  await laptop.start()
  await synced(laptop)
  await laptop.stop()
  await desk.start()
  await synced(desk)
  await expectSameCases(desk, laptop, 40)
  jumped.child.kill('SIGTERM')
  expect((await jumped.ended).code).toBe(0)
})
