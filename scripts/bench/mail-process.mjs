/** The devices of M9, in one process: a practice, and what its members leave at a relay. The store alone as well. */
import { Level } from 'level'
import { enter, hostOf, makePractice, random } from './members.mjs'
import { clock, serve } from './worker.mjs'

const ENVELOPE_BYTES = 1024

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
    for (const device of devices.slice(0, count)) {
      const host = await hostOf(device)
      clients.push({ host, deposit: await enter(host, roster, addresses) })
    }
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
