/** The devices of M9, in one process: a practice, and what its members leave at a relay. The store alone as well. */
import { randomBytes } from 'node:crypto'
import { Level } from 'level'
import { createHost } from '../../dist/src/node/host.js'
import { nodeNatives } from '../../dist/src/node/natives.js'
import { edPublicKey } from '../../dist/src/protocol/ed25519.js'
import { xPublicKey } from '../../dist/src/protocol/hpke.js'
import { decodeMailFrame, encodeMailFrame } from '../../dist/src/protocol/mailbox-wire.js'
import { addDevice, createGenesis, signEnrolment } from '../../dist/src/protocol/roster-write.js'
import { clock, serve } from './worker.mjs'

const ENVELOPE_BYTES = 1024
const random = (length) => Uint8Array.from(randomBytes(length))

function makeDevice(name) {
  const [edSecret, xSecret] = [random(32), random(32)]
  return { name, edSecret, xSecret, ed: edPublicKey(edSecret), x: xPublicKey(xSecret) }
}

/** A roster of so many devices. */
function makePractice(count) {
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

/** A device's end of the mailbox that only deposits. */
async function join(device, roster, addresses) {
  const host = await createHost({ privateKey: device.edSecret, listen: [], lan: false })
  const { channel } = await host.dial(addresses, '/kartoteka/mailbox/1')
  const waiting = new Map()
  const say = (kind, value) => channel.send('live', encodeMailFrame({ $case: kind, value }))
  let enter
  const entered = new Promise((resolve) => {
    enter = resolve
  })
  void (async () => {
    for await (const { bytes } of channel.messages) {
      const { $case: kind, value } = decodeMailFrame(bytes)
      if (kind === 'welcome' && value.rosterHead.length === 0) say('chain', { entries: [...roster.entries] })
      else if (kind === 'notices') enter()
      else if (kind === 'done') waiting.get(value.number)?.(value)
      else if (kind === 'refuse') throw new Error(`refused: ${value.code}`)
    }
  })()
  say('greet', { oldest: 1, newest: 1, practice: roster.practiceId, rosterHead: roster.head })
  await entered
  let number = 0
  const deposit = (recipients, envelope) =>
    new Promise((resolve, reject) => {
      const mine = ++number
      waiting.set(mine, ({ error }) => {
        waiting.delete(mine)
        if (error === '') resolve()
        else reject(new Error(error))
      })
      say('deposit', { number: mine, id: random(16), recipients, replaces: [], envelope })
    })
  return { host, deposit }
}

/** `work` by so many at once for so long: how often, and how long each took. */
async function measure(workers, durationMs, work) {
  const latencies = []
  const began = clock()
  const loop = async (worker) => {
    while (clock() - began < durationMs) {
      const from = clock()
      await work(worker)
      latencies.push(clock() - from)
    }
  }
  await Promise.all(workers.map(loop))
  return { count: latencies.length, ms: clock() - began, latencies }
}

let clients = []
let recipient

serve({
  async connect(addresses, count) {
    const { roster, devices } = makePractice(count + 1)
    recipient = devices[count].ed
    clients = []
    for (const device of devices.slice(0, count)) clients.push(await join(device, roster, addresses))
  },

  deposits: (durationMs) =>
    measure(clients, durationMs, (client) => client.deposit([recipient], random(ENVELOPE_BYTES))),

  async disconnect() {
    await Promise.all(clients.map(({ host }) => host.stop()))
    clients = []
  },

  /** The engine alone: the same values, as many at once, what waits shares the next flushed batch. */
  async store(folder, count, durationMs) {
    const options = { keyEncoding: 'view', valueEncoding: 'view', compression: false }
    const db = new Level(folder, { ...options, writeBufferSize: 128 * 1024 * 1024 })
    await db.open()
    const flushes = []
    let queue = []
    let isRunning = false
    const run = async () => {
      while (queue.length > 0) {
        const group = queue
        queue = []
        const from = clock()
        await db.batch(
          group.map(({ key, value }) => ({ type: 'put', key, value })),
          { sync: true },
        )
        flushes.push(clock() - from)
        for (const { resolve } of group) resolve()
      }
      isRunning = false
    }
    const put = () =>
      new Promise((resolve) => {
        queue.push({ key: random(16), value: random(ENVELOPE_BYTES), resolve })
        if (isRunning) return
        isRunning = true
        queueMicrotask(run)
      })
    const measured = await measure(Array.from({ length: count }), durationMs, put)
    await db.close()
    return { ...measured, flushes }
  },

  stop: () => {},
})
