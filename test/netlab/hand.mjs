// @ts-check
/**
 * The hand of a person at a device of the network lab: it changes one case again and again, and looks what has become
 * of another, which somebody else changes. Runs beside the device, whose link leads nowhere else. Standard output: one
 * JSON state a line.
 */
import { setTimeout as sleep } from 'node:timers/promises'

// The built product, which is not there while sources are checked.
const built = new URL('../../dist/src/node/link-client.js', import.meta.url)
const { connectLink } = await import(built.href)

const INTERVAL_MS = 100

const [folder, own, others] = process.argv.slice(2)
/** Numbers written here and stored, and seen of the other's. */
const row = { path: 'none', made: 0, received: 0 }

console.log(JSON.stringify({}))
for (;;) {
  const link = await connectLink(folder)
  try {
    while (link) await turn(link.client)
  } catch {
    // The device stands still, or is busy: once more.
    link?.close()
  }
  await sleep(INTERVAL_MS)
}

/** @param {any} client */
async function turn(client) {
  const next = row.made + 1
  await client.cases.set({ id: own, fields: [['patient.phone', String(next)]] })
  await client.flush()
  row.made = next
  const { json } = await client.cases.show({ id: others })
  const { devices } = await client.status()
  row.received = Number(JSON.parse(json).patient.phone)
  row.path = devices.find((/** @type {any} */ { self }) => !self).path
  console.log(JSON.stringify(row))
  await sleep(INTERVAL_MS)
}
