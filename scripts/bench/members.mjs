/** Devices that are no more than their end of a relay's mailbox, for measuring relays: M9 and M10. */
import { randomBytes } from 'node:crypto'
import { createHost } from '../../dist/src/node/host.js'
import { nodeNatives } from '../../dist/src/node/natives.js'
import { edPublicKey } from '../../dist/src/protocol/ed25519.js'
import { xPublicKey } from '../../dist/src/protocol/hpke.js'
import { ALIVE_INTERVAL_MS } from '../../dist/src/protocol/mailbox-limits.js'
import { decodeMailFrame, encodeMailFrame } from '../../dist/src/protocol/mailbox-wire.js'
import { addDevice, createGenesis, signEnrolment } from '../../dist/src/protocol/roster-write.js'

export const random = (length) => Uint8Array.from(randomBytes(length))

function makeDevice(name) {
  const [edSecret, xSecret] = [random(32), random(32)]
  return { name, edSecret, xSecret, ed: edPublicKey(edSecret), x: xPublicKey(xSecret) }
}

/** A roster of so many devices. */
export function makePractice(count) {
  const devices = Array.from({ length: count }, (_, at) => makeDevice(`Device ${at}`))
  const [author] = devices
  let { roster, epochKey } = createGenesis({
    natives: nodeNatives,
    random,
    device: author,
    practiceName: 'Bench',
  })
  for (const device of devices.slice(1)) {
    const selfSignature = signEnrolment(nodeNatives, roster.practiceId, device)
    const context = { natives: nodeNatives, random, roster, author, epochKey }
    roster = addDevice(context, { ...device, selfSignature }).roster
  }
  return { roster, devices }
}

export const hostOf = (device) => createHost({ privateKey: device.edSecret, listen: [], lan: false })

/**
 * Enters a practice's mailbox over one channel, gives the roster where the relay lacks it, and asks now and then
 * whether the relay is there, as devices do.
 *
 * @param ended called once the channel has ended
 * @returns how one leaves an envelope there
 */
export async function enter(host, roster, addresses, ended = () => {}) {
  const opened = await host.dial(addresses, '/kartoteka/mailbox/1')
  if (!opened.channel) throw new Error(`the relay does not answer: ${opened.code}`)
  const { channel } = opened
  let number = 0
  const waiting = new Map()
  const say = (kind, value) => channel.send('live', encodeMailFrame({ $case: kind, value }))
  const entered = new Promise((resolve, reject) => {
    const listen = async () => {
      for await (const { bytes } of channel.messages) {
        const { $case: kind, value } = decodeMailFrame(bytes)
        if (kind === 'welcome' && value.rosterHead.length === 0)
          say('chain', { entries: [...roster.entries] })
        else if (kind === 'notices') resolve()
        else if (kind === 'done') waiting.get(value.number)?.(value)
        else if (kind === 'refuse') throw new Error(`refused: ${value.code}`)
      }
    }
    void listen()
      .catch(reject)
      .finally(() => {
        clearInterval(asking)
        reject(new Error('the relay has ended the session'))
        ended()
      })
  })
  say('greet', { oldest: 1, newest: 1, practice: roster.practiceId, rosterHead: roster.head })
  const asking = setInterval(() => say('alive', { number: ++number, answer: false }), ALIVE_INTERVAL_MS)
  await entered
  return (recipients, envelope) =>
    new Promise((resolve, reject) => {
      const mine = ++number
      waiting.set(mine, ({ error }) => {
        waiting.delete(mine)
        if (error === '') resolve()
        else reject(new Error(error))
      })
      say('deposit', { number: mine, id: random(16), recipients, replaces: [], envelope })
    })
}
