/** What looking for each other costs many devices on one network. */
import { createSocket, Socket } from 'node:dgram'
import type { Multiaddr } from '@multiformats/multiaddr'
import { expect, test, vi } from 'vitest'
import { startLan } from '../../src/node/lan.js'
import { publicKeyToPeerId } from '../../src/node/peer-id.js'
import { sleep, whileRunning } from './host-helpers.js'

const SILENT = Object.assign(() => {}, { error() {}, trace() {}, enabled: false, newScope: () => SILENT })

function look(intervalMs: number, addresses: () => Multiaddr[] = () => []): void {
  const id = publicKeyToPeerId(crypto.getRandomValues(new Uint8Array(32)))
  const logger = { forComponent: () => SILENT as never }
  whileRunning(startLan({ id, addresses, logger, log: () => {}, onFound: () => {}, intervalMs }))
}

/** How many questions with an id leave this process meanwhile. */
async function asked(ms: number): Promise<number> {
  const send = vi.spyOn(Socket.prototype, 'send')
  await sleep(ms)
  const packets = send.mock.calls.map(([packet]) => packet as Uint8Array)
  send.mockRestore()
  return packets.filter(([high, low, flags]) => high! + low! > 0 && (flags! & 0x80) === 0).length
}

test('of many devices one asks at a time', async () => {
  for (let at = 0; at < 10; at++) {
    look(500)
    await sleep(50)
  }
  const count = await asked(3_000)
  expect(count).toBeGreaterThan(0)
  // Each would ask six times.
  expect(count).toBeLessThan(20)
})

test('who hears others ask all the time asks now and then all the same', async () => {
  const labels = ['_kartoteka', '_udp', 'local'].flatMap((label) => [label.length, ...Buffer.from(label)])
  const question = Uint8Array.of(0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, ...labels, 0, 0, 12, 0, 1)
  const other = createSocket('udp4')
  const timer = setInterval(() => other.send(question, 5353, '224.0.0.251'), 20)
  whileRunning({
    stop() {
      clearInterval(timer)
      other.close()
    },
  })
  look(100)
  await sleep(200)
  const count = await asked(2_500)
  expect(count).toBeGreaterThan(0)
  expect(count).toBeLessThan(6)
})

test('who is asked while the system names no interfaces has no answer, and goes on', async () => {
  let times = 0
  look(100, () => {
    times += 1
    throw new Error('uv_interface_addresses returned EMFILE')
  })
  for (let waited = 0; times < 2 && waited < 5_000; waited += 50) await sleep(50)
  expect(times).toBeGreaterThan(1)
})
