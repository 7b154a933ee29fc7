/**
 * kill −9 of a running device at random moments: while it imports, while somebody types, and while it merges what its
 * database has stored. What was acknowledged (a flush that came back) is there after each start. Folders are used
 * again, so that a kill meets what an earlier one has left. KARTOTEKA_STORE_KILLS says how many kills there are of
 * each kind; with those of durability, restarts, kills and relay-kills they are the 200 of docs/proof.md.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, it } from 'vitest'
import type { Client } from '../../src/node/router.js'
import { KILLS as FAULTS } from '../support/faults.js'
import { createPractice, exported, startDevice, type TestDevice } from '../support/processes.js'
import { type Random, seeded } from '../support/random.js'
import { plainCase } from '../support/workload.js'

const KILLS = FAULTS.store
const SEED = Number(process.env.KARTOTEKA_SEED ?? 405)
/** Devices that are tried side by side. */
const DEVICES = 2
/** A kill comes within this long after the first acknowledgement of a start. */
const MOMENT_MS = 150
const PAGE = 4
const TYPED_IN = ['typed 0', 'typed 1']
/** What one burst of typing leaves worn, so that a stop has something to merge. */
const BURST = 40
const BURST_CHARACTERS = 6000

/** What came back after a flush: tags of imported cases, and marks that a text holds once each. */
interface Acknowledged {
  cases: Map<string, string>
  marks: Map<string, string[]>
}

/** Does until the device is gone; what came back before that is acknowledged. */
type Doing = (client: Client, acknowledged: Acknowledged, first: () => void) => Promise<void>

function importing(random: Random): Doing {
  let next = 0
  return async (client, acknowledged, first) => {
    for (;;) {
      const from = next
      next += PAGE
      const texts = Array.from({ length: PAGE }, (_, at) => {
        const made = {
          ...plainCase((from + at) % 1000),
          id: `imported ${from + at}`,
          tags: [`${random.int(0, 1e9)}`],
        }
        return { id: made.id, text: JSON.stringify(made), tag: made.tags[0]! }
      })
      const lines = texts.map(({ text }, at) => ({ line: at + 1, text }))
      const report = await client.cases.import({ lines, preview: false })
      await client.flush()
      expect(report).toMatchObject({ added: PAGE, errors: [] })
      for (const { id, tag } of texts) acknowledged.cases.set(id, tag)
      first()
    }
  }
}

let marks = 0
async function type(client: Client, acknowledged: Acknowledged, id: string, filler = ''): Promise<void> {
  const mark = `(${++marks})`
  await client.cases.type({ id, consultation: 'c0', at: 0, erase: 0, text: mark + filler })
  await client.flush()
  acknowledged.marks.set(id, [...(acknowledged.marks.get(id) ?? []), mark])
}

function editing(random: Random): Doing {
  return async (client, acknowledged, first) => {
    for (;;) {
      await type(client, acknowledged, random.pick(TYPED_IN))
      first()
    }
  }
}

/** Wears the store out, then has it stop, which merges it. */
function compacting(random: Random): Doing {
  return async (client, acknowledged, first) => {
    const [id] = TYPED_IN as [string]
    const filler = Array.from({ length: BURST_CHARACTERS }, () =>
      String.fromCharCode(random.int(97, 122)),
    ).join('')
    for (let at = 0; at < BURST; at++) {
      const { json } = await client.cases.show({ id })
      const { length } = (JSON.parse(json) as { consultations: { text: string }[] }).consultations[0]!.text
      // The same room is written over and over; marks stay in front of it.
      const before = acknowledged.marks.get(id)?.join('').length ?? 0
      const erase = Math.max(0, Math.min(length - before, BURST_CHARACTERS))
      await client.cases.type({ id, consultation: 'c0', at: length - erase, erase, text: filler })
    }
    await type(client, acknowledged, id)
    first()
    await client.stop()
  }
}

async function killRounds(device: TestDevice, kills: number, doing: Doing, random: Random): Promise<number> {
  await createPractice(device)
  const acknowledged: Acknowledged = { cases: new Map(), marks: new Map() }
  const client = await device.link()
  for (const id of TYPED_IN) {
    const made = { id, consultations: [{ id: 'c0', date: '2025-01-01', text: '' }] }
    await client.cases.create({ json: JSON.stringify(made) })
  }
  await client.flush()
  for (let kill = 0; kill < kills; kill++) {
    if (!device.isAlive) await device.start()
    const before = count(acknowledged)
    let begun = () => {}
    const first = new Promise<void>((resolve) => {
      begun = resolve
    })
    const work = doing(await device.link(), acknowledged, begun).catch((error: unknown) => error)
    await Promise.race([first, work])
    await sleep(random() * MOMENT_MS)
    await device.kill()
    await work
    expect(count(acknowledged)).toBeGreaterThan(before)
  }
  await device.start()
  const text = await exported(device)
  const cases = new Map(
    text
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as { id: string; tags?: string[]; consultations?: { text: string }[] })
      .map((each) => [each.id, each]),
  )
  const lost: string[] = []
  for (const [id, tag] of acknowledged.cases) if (cases.get(id)?.tags?.[0] !== tag) lost.push(id)
  for (const [id, list] of acknowledged.marks) {
    const held = cases.get(id)?.consultations?.[0]?.text ?? ''
    for (const mark of list) if (held.split(mark).length !== 2) lost.push(`${id} ${mark}`)
  }
  expect(lost).toEqual([])
  expect(await device.ok('doctor')).toContainEqual(expect.objectContaining({ check: 'store', ok: true }))
  expect(await device.ok<{ problems: unknown[] }>('status')).toMatchObject({ problems: [] })
  await device.stop()
  return count(acknowledged)
}

const count = ({ cases, marks }: Acknowledged) =>
  cases.size + [...marks.values()].reduce((sum, list) => sum + list.length, 0)

it.each([
  ['imports', importing],
  ['is typed in', editing],
  ['stops, and merges what it has stored', compacting],
])(`loses nothing that was acknowledged in ${KILLS} kills while it %s`, async (name, make) => {
  const devices = await Promise.all(Array.from({ length: DEVICES }, () => startDevice()))
  const done = await Promise.all(
    devices.map((device, at) => {
      const random = seeded(SEED + at)
      return killRounds(device, Math.ceil(KILLS / DEVICES), make(random), random)
    }),
  )
  console.log(`${name}: ${done.reduce((sum, each) => sum + each, 0)} acknowledged`)
})
