/** Devices behind NATs, far apart: which path they end on, that it follows the network, and whom they ask. */
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { Lab, labProblem, RELAY_ADDRESS } from './lab.js'
import { type DeviceState, LabDevice, startCast, Talker, untilAll, untilAllArrived } from './processes.js'

const problem = labProblem()
const PATIENCE_MS = 30_000
const TEST_TIMEOUT_MS = 180_000

// One line says that it is skipped, and why.
if (problem === undefined)
  describe('two devices behind NATs, and a relay', { timeout: TEST_TIMEOUT_MS }, () => paths())
else it('the network lab', (context) => context.skip(problem))

function paths(): void {
  it('stand in a lab that would notice a question to a stranger', () => {
    const lab = new Lab({ a: 'preserving', b: 'preserving' })
    expect(lab.strangersAsked('a')).toBe(0)
    lab.askName('a')
    expect(lab.strangersAsked('a')).toBeGreaterThan(0)
  })

  it('end on WebRTC where NATs keep ports, and ask nobody but the relay and each other', async () => {
    const lab = new Lab({ a: 'preserving', b: 'preserving' })
    const cast = await startCast(lab, 'offered')
    await untilAll(cast, ({ path }) => path === 'direct', PATIENCE_MS)
    await untilAllArrived(cast)
    expect([lab.strangersAsked('a'), lab.strangersAsked('b')]).toEqual([0, 0])
    // And the process ends, native threads or not.
    expect([await cast.a.stop(), await cast.b.stop()]).toEqual([0, 0])
  })

  it('stay on the relay where both NATs choose ports at random', async () => {
    const lab = new Lab({ a: 'random', b: 'random' })
    const cast = await startCast(lab, 'offered')
    await untilAll(cast, ({ path }) => path === 'relayed', PATIENCE_MS)
    // Three attempts of three seconds, of either device, change nothing.
    await sleep(20_000)
    expect([cast.a.last?.path, cast.b.last?.path]).toEqual(['relayed', 'relayed'])
    await untilAllArrived(cast)
    expect([lab.strangersAsked('a'), lab.strangersAsked('b')]).toEqual([0, 0])
  })

  it('have no path where the relay refuses circuits, and are connected to it', async () => {
    const lab = new Lab({ a: 'preserving', b: 'preserving' })
    const cast = await startCast(lab, 'refused')
    await untilAll(cast, ({ relays }) => relays[0]?.state === 'connected', PATIENCE_MS)
    await sleep(5_000)
    expect([cast.a.last, cast.b.last]).toMatchObject([
      { path: 'none', received: 0, relays: [{ state: 'connected', circuit: false }] },
      { path: 'none', received: 0, relays: [{ state: 'connected', circuit: false }] },
    ])
  })

  it('fall back to the relay within seconds when the direct path breaks unnoticed, and lose nothing', async () => {
    const lab = new Lab({ a: 'preserving', b: 'preserving' })
    const cast = await startCast(lab, 'offered')
    await untilAll(cast, ({ path }) => path === 'direct', PATIENCE_MS)
    lab.blockUdp('a')
    expect(await untilAll(cast, ({ path }) => path === 'relayed', PATIENCE_MS)).toBeLessThan(15_000)
    await untilAllArrived(cast)
    lab.blockUdp('a', false)
    await untilAll(cast, ({ path }) => path === 'direct', 90_000)
    await untilAllArrived(cast)
  })

  it('notice within 25 s that a relay has gone out of reach, though nothing is said', async () => {
    const lab = new Lab({ a: 'preserving', b: 'preserving' })
    const relay = new Talker<{ addresses: string[] }>(lab.relay, './relay.mjs', [RELAY_ADDRESS, 'offered'])
    const cast = { a: new LabDevice(lab, 'a'), b: new LabDevice(lab, 'b') }
    const { addresses } = await relay.first
    for (const device of Object.values(cast)) device.tell({ relay: addresses })
    await untilAll(cast, ({ relays }) => relays[0]?.circuit === true, PATIENCE_MS)
    // What they have to tell each other at the beginning.
    await sleep(3_000)
    for (const side of ['a', 'b'] as const) lab.breakLine(side, true)
    const isGone = ({ relays }: DeviceState) => relays[0]?.state === 'unreachable'
    expect(await untilAll(cast, isGone, PATIENCE_MS)).toBeLessThan(25_000)
    for (const side of ['a', 'b'] as const) lab.breakLine(side, false)
    await untilAll(cast, ({ relays }) => relays[0]?.circuit === true, PATIENCE_MS)
  })

  it('are connected again within 30 s when one gets another address', async () => {
    const lab = new Lab({ a: 'preserving', b: 'preserving' })
    const cast = await startCast(lab, 'offered')
    await untilAll(cast, ({ path }) => path === 'direct', PATIENCE_MS)
    lab.readdress('a')
    const made = cast.a.last?.made ?? 0
    expect(await untilAll(cast, ({ received }) => received > made + 5, PATIENCE_MS)).toBeLessThan(30_000)
    await untilAllArrived(cast)
  })
}
