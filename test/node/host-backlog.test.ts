/** Those who take long: a relay that is met by a crowd is waited for, an address where nobody speaks is not. */
import { randomBytes } from 'node:crypto'
import { createServer } from 'node:net'
import { expect, test } from 'vitest'
import { ALIVE_PROTOCOL, answerAlive } from '../../src/node/host-alive.js'
import { createNode } from '../../src/node/host-node.js'
import { Transports } from '../../src/node/host-transports.js'
import { opened, startHost, TCP, until, whileRunning } from './host-helpers.js'

const CROWD = 40
/** Of a slow relay's time for each connection that it takes: all together more than the 3 s that a device waits. */
const WORK_MS = 100

test('a crowd that takes longer to let in than a device waits comes in, at about one handshake each', {
  timeout: 60_000,
}, async () => {
  let begun = 0
  const gater = {
    denyInboundConnection: () => {
      begun++
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, WORK_MS)
      return false
    },
  }
  const privateKey = randomBytes(32)
  const relay = await createNode({ privateKey, listen: [TCP], maxConnections: 500, gater }, new Transports())
  whileRunning(relay)
  await relay.handle(ALIVE_PROTOCOL, (stream) => answerAlive(stream, { stunPort: 0 }))
  const devices = await Promise.all(Array.from({ length: CROWD }, () => startHost({ listen: [] })))
  const addresses = relay.getMultiaddrs().map(String)
  for (const device of devices) device.setRelays([{ addresses }])
  await until(() => devices.every((device) => device.relays()[0]?.state === 'connected'), 50_000)
  expect(begun).toBeGreaterThanOrEqual(CROWD)
  expect(begun).toBeLessThan(1.6 * CROWD)
})

test('an address of a device where somebody listens and says nothing leaves time for the next one', async () => {
  const silent = createServer()
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve))
  whileRunning({ stop: () => void silent.close() })
  const [device, other] = [await startHost({ listen: [] }), await startHost()]
  await other.handle('/x/1', () => {})
  const address = other.addresses()[0]!
  const stale = address.replace(/tcp\/\d+/, `tcp/${(silent.address() as { port: number }).port}`)
  opened(await device.dial([stale, address], '/x/1', { timeoutMs: 5_000 }))
})
