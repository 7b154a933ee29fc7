/** Devices of M10, in one process: connected to a relay as idle devices are, and back again by themselves. */
import net from 'node:net'
import { enter, hostOf, makePractice } from './members.mjs'
import { clock, serve } from './worker.mjs'

const DEVICES_OF_PRACTICE = 20
/** The relay grants one address so much and no more, and a practice is mostly behind one of its own. */
const ADDRESSES = 200
const FIRST_AGAIN_MS = 500
const LAST_AGAIN_MS = 20_000

const hosts = []
let present = 0
/** When the last one was back. */
let completeAt

function became(by) {
  present += by
  completeAt = present === hosts.length ? clock() : undefined
}

/** Resolves when the host is connected to its relay, which it sees to by itself. */
function whenConnected(host) {
  const isConnected = () => host.relays()[0]?.state === 'connected'
  if (isConnected()) return
  return new Promise((resolve) => {
    const off = host.onRelayChanged(() => {
      if (!isConnected()) return
      off()
      resolve()
    })
  })
}

/** In its mailbox for good: where the relay has gone, it comes again, less and less often. */
async function stay(host, roster, addresses) {
  let isIn = false
  for (let waitMs = FIRST_AGAIN_MS; !isIn; waitMs = Math.min(2 * waitMs, LAST_AGAIN_MS)) {
    await whenConnected(host)
    try {
      await enter(host, roster, addresses, () => {
        if (!isIn) return
        isIn = false
        became(-1)
        void stay(host, roster, addresses)
      })
      isIn = true
    } catch {
      await new Promise((resolve) => setTimeout(resolve, waitMs * (0.5 + 0.75 * Math.random())))
    }
  }
  became(1)
}

serve({
  /** So many devices, from addresses 127.0.`network`.…, one practice after the other. */
  async come(addresses, count, network) {
    const { connect } = net
    let next = 0
    net.connect = (options) =>
      connect({ ...options, localAddress: `127.0.${network}.${(next++ % ADDRESSES) + 1}` })
    for (let left = count; left > 0; left -= DEVICES_OF_PRACTICE) {
      const { roster, devices } = makePractice(Math.min(left, DEVICES_OF_PRACTICE))
      for (const device of devices) {
        const host = await hostOf(device)
        hosts.push(host)
        host.setRelays([{ addresses }])
        await stay(host, roster, addresses)
      }
    }
  },

  /** When the last of them came (back), or null while somebody is missing. */
  complete: () => completeAt ?? null,

  /** How many can be reached through the relay. */
  reached: () => hosts.filter((host) => host.relays()[0]?.circuit).length,

  stop: () => {},
})
