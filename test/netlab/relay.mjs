// @ts-check
/** A relay of the network lab: the built network layer in a process of its own. */
import { randomBytes } from 'node:crypto'

// The built product, which is not there while sources are checked.
const built = new URL('../../dist/src/node/host-relay.js', import.meta.url)
const { createRelayHost } = await import(built.href)

const [address, circuit] = process.argv.slice(2)
const relay = await createRelayHost({
  privateKey: randomBytes(32),
  listen: [`/ip4/${address}/tcp/4001`],
  stun: { hosts: [String(address)] },
  ...(circuit === 'refused' && { circuit: false }),
})
if ('code' in relay) throw new Error(relay.sentence)
console.log(JSON.stringify({ id: relay.id, addresses: relay.addresses() }))
process.on('SIGTERM', async () => {
  await relay.stop()
})
