/**
 * The power fails under a device while somebody types and imports: what was acknowledged is there after the next
 * start, or the store is put in order by itself. That the disk of this test forgets what isn't flushed is tried as well.
 */
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'
import type { Client } from '../../src/node/router.js'
import { CUTS as FAULTS } from '../support/faults.js'
import { PowerDisk, powerObstacle } from '../support/power.js'
import { createPractice, TestDevice } from '../support/processes.js'
import { seeded } from '../support/random.js'
import { plainCase } from '../support/workload.js'

const CUTS = FAULTS.store
/** Of a device that must not survive all of them. */
const BAD_CUTS = 5
/** A cut comes within this long after the first acknowledgement of a start. */
const MOMENT_MS = 150
/** Of a cut and the start after it, on a busy machine. */
const CUT_LIMIT_MS = 15_000
const PAGE = 4
const TYPED_IN = 'typed in'
/** Loaded before the program. */
const FORGETFUL = fileURLToPath(new URL('../support/forgetful.mjs', import.meta.url))

const random = seeded(Number(process.env.KARTOTEKA_SEED ?? 406))

const why = powerObstacle()
if (why !== undefined) console.log(`SKIPPED power cuts of a device: ${why}.`)

class Load {
  /** Ids of imported cases, and marks in one text. */
  private readonly cases = new Set<string>()
  private readonly marks = new Set<string>()
  private next = 0

  get count(): number {
    return this.cases.size + this.marks.size
  }

  /** Until the device is gone. */
  async work(client: Client): Promise<void> {
    await Promise.allSettled([this.import(client), this.type(client)])
  }

  private async import(client: Client): Promise<never> {
    for (;;) {
      const ids = Array.from({ length: PAGE }, () => `imported ${this.next++}`)
      const lines = ids.map((id, at) => ({ line: at + 1, text: JSON.stringify({ ...plainCase(at), id }) }))
      await client.cases.import({ lines, preview: false })
      await client.flush()
      for (const id of ids) this.cases.add(id)
    }
  }

  private async type(client: Client): Promise<never> {
    for (;;) {
      const mark = `(${this.next++})`
      await client.cases.type({ id: TYPED_IN, consultation: 'c0', at: 0, erase: 0, text: mark })
      await client.flush()
      this.marks.add(mark)
    }
  }

  /** What was acknowledged and isn't there. */
  async lost(client: Client): Promise<string[]> {
    const ids = new Set((await client.cases.list({})).map(({ id }) => id))
    const { json } = await client.cases.show({ id: TYPED_IN })
    const { text } = (JSON.parse(json) as { consultations: { text: string }[] }).consultations[0]!
    return [
      ...[...this.cases].filter((id) => !ids.has(id)),
      ...[...this.marks].filter((mark) => !text.includes(mark)),
    ]
  }
}

/** Cuts until something is lost, or the device doesn't start any more: what that was, or undefined if all went well. */
async function loss(
  cuts: number,
  disk: PowerDisk,
  env: Record<string, string> = {},
): Promise<string | undefined> {
  const device = await new TestDevice({ folder: join(disk.folder, 'device'), env }).start()
  await createPractice(device)
  const made = { id: TYPED_IN, consultations: [{ id: 'c0', date: '2025-01-01', text: '' }] }
  const client = await device.link()
  await client.cases.create({ json: JSON.stringify(made) })
  await client.flush()
  const load = new Load()
  for (let cut = 1; cut <= cuts; cut++) {
    const before = load.count
    const work = load.work(await device.link())
    while (load.count === before) await sleep(1)
    await sleep(random() * MOMENT_MS)
    await disk.cut([device.pid], () => device.kill())
    await work
    try {
      await device.start()
      const lost = await load.lost(await device.link())
      if (lost.length > 0) return `after cut ${cut} of ${load.count}: ${lost.join(', ')}`
    } catch (error) {
      return `after cut ${cut}: ${error}`
    }
  }
  expect(await device.ok('doctor')).toContainEqual(expect.objectContaining({ check: 'store', ok: true }))
  expect(load.count).toBeGreaterThanOrEqual(cuts)
  await device.kill()
  return undefined
}

it.skipIf(why !== undefined)(
  `loses nothing that was acknowledged in ${CUTS} power cuts`,
  { timeout: (CUTS + 10) * CUT_LIMIT_MS },
  async () => {
    expect(await loss(CUTS, PowerDisk.make({ random }))).toBeUndefined()
  },
)

it.skipIf(why !== undefined)('would lose changes here if it did not flush', async () => {
  const env = { NODE_OPTIONS: `--import=${FORGETFUL}` }
  expect(await loss(BAD_CUTS, PowerDisk.make({ random }), env)).toBeDefined()
})

it.skipIf(why !== undefined)(
  'would lose changes here if the file system did not flush the disk',
  async () => {
    expect(await loss(BAD_CUTS, PowerDisk.make({ random, barrier: false }))).toBeDefined()
  },
)
