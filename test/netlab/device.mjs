// @ts-check
/**
 * A device of the network lab: the built host and its peers, and in place of the sync session one that counts.
 * Each side has an endless row of numbers and sends every one that the other has not confirmed; after a change of
 * path it goes on from there. Standard input: one JSON command a line; standard output: one JSON state a line.
 */
import { createInterface } from 'node:readline'

/** The built product, which is not there while sources are checked. */
const built = (/** @type {string} */ path) => import(new URL(`../../dist/src/${path}`, import.meta.url).href)
const [{ Peers }, { createHost }, { peerIdToPublicKey }, { toHex }] = await Promise.all(
  ['node/device/peers.js', 'node/host.js', 'node/peer-id.js', 'protocol/bytes.js'].map(built),
)

const NUMBER_INTERVAL_MS = 50
const STATE_INTERVAL_MS = 100

const [seed, listen] = process.argv.slice(2)
const host = await createHost({
  privateKey: Buffer.from(String(seed), 'hex'),
  listen: [String(listen)],
  lan: false,
})
if ('code' in host) throw new Error(host.sentence)

/** @type {any} */
let peers
let other = ''
/** Numbers made here, confirmed by the other side, and received from it without a gap. */
const row = { made: 0, confirmed: 0, received: 0, gaps: 0 }
/** @type {any} */
let session

const driver = {
  connect(/** @type {any} */ link) {
    if (session) driver.disconnect(session)
    session = { link, open: true, sent: row.confirmed }
    send({ received: row.received })
    return session
  },
  receive(/** @type {any} */ from, /** @type {Uint8Array} */ bytes) {
    const message = JSON.parse(Buffer.from(bytes).toString())
    if (message.received !== undefined) row.confirmed = Math.max(row.confirmed, message.received)
    if (message.received !== undefined && from.sent < row.confirmed) from.sent = row.confirmed
    if (message.number === undefined) return undefined
    if (message.number > row.received + 1) row.gaps += 1
    else if (message.number === row.received + 1) row.received += 1
    send({ received: row.received })
    return undefined
  },
  disconnect(/** @type {any} */ ended) {
    ended.open = false
    ended.link.close('stopped')
    if (session === ended) session = undefined
  },
  tellAddresses() {},
}

function send(/** @type {object} */ message) {
  if (session?.open) session.link.send('live', Buffer.from(JSON.stringify(message)))
}

const numbers = setInterval(() => {
  row.made += 1
  while (session && session.sent < row.made) send({ number: ++session.sent })
}, NUMBER_INTERVAL_MS)

const state = setInterval(() => {
  const path = peers?.pathOf(other) ?? 'none'
  console.log(JSON.stringify({ path, relays: host.relays(), ...row }))
}, STATE_INTERVAL_MS)

console.log(JSON.stringify({ id: host.id, key: toHex(host.publicKey) }))

createInterface(process.stdin).on('line', (line) => {
  void obey(JSON.parse(line))
})

/** @param {{ relay?: string[], meet?: string, stop?: true }} command */
async function obey(command) {
  if (command.relay) host.setRelays([{ addresses: command.relay }])
  if (command.meet) {
    const key = peerIdToPublicKey(command.meet)
    if (!key) throw new Error('no peer id')
    other = toHex(key)
    peers = new Peers({
      host,
      driver,
      ed: host.publicKey,
      others: () => [key],
      known: new Map(),
      now: () => performance.now(),
      changed: () => {},
    })
    await peers.start()
  }
  if (command.stop) {
    clearInterval(numbers)
    clearInterval(state)
    process.stdin.destroy()
    peers?.stop()
    await host.stop()
  }
}
