/**
 * The power fails while devices deposit: every mail that was acknowledged is there after the next start. That
 * the disk of this test forgets what a relay doesn't flush, and what a file system doesn't, is tried as well.
 */

import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'
import { CUTS as FAULTS } from '../support/faults.js'
import { PowerDisk, powerObstacle } from '../support/power.js'
import { seeded } from '../support/random.js'
import { RelayLoad } from '../support/relay-load.js'
import { RelayProcess } from '../support/relay-process.js'

const CUTS = FAULTS.relay
/** Of a relay, or a file system, that must not survive all of them. */
const BAD_CUTS = 5
/** A cut comes within this long after the first answer of a start. */
const MOMENT_MS = 300
/** Loaded before the program. */
const FORGETFUL = fileURLToPath(new URL('../support/forgetful.mjs', import.meta.url))

const random = seeded(Number(process.env.KARTOTEKA_SEED ?? 302))

const why = powerObstacle()
if (why !== undefined) console.log(`SKIPPED power cuts of a relay: ${why}.`)

/** Cuts until something is lost: what that was, or undefined if all went well. */
async function loss(
  cuts: number,
  disk: PowerDisk,
  env: Record<string, string> = {},
): Promise<string | undefined> {
  const relay = await new RelayProcess([], join(disk.folder, 'relay'), env).start()
  const load = new RelayLoad(relay, random)
  for (let cut = 1; cut <= cuts; cut++) {
    await load.during(MOMENT_MS, () => disk.cut([relay.pid], () => relay.kill()))
    const failure = await relay.start().then(
      () => undefined,
      (error) => String(error),
    )
    if (failure !== undefined) return `after cut ${cut}: ${failure}`
    const lost = await load.lost()
    if (lost.length > 0) return `after cut ${cut}: ${lost.length} deposits`
  }
  expect(load.count).toBeGreaterThan(cuts)
  return undefined
}

it.skipIf(why !== undefined)(`loses nothing that was acknowledged in ${CUTS} power cuts`, async () => {
  expect(await loss(CUTS, PowerDisk.make({ random }))).toBeUndefined()
})

it.skipIf(why !== undefined)('would lose deposits here if it did not flush', async () => {
  const env = { NODE_OPTIONS: `--import=${FORGETFUL}` }
  expect(await loss(BAD_CUTS, PowerDisk.make({ random }), env)).toBeDefined()
})

it.skipIf(why !== undefined)(
  'would lose deposits here if the file system did not flush the disk',
  async () => {
    expect(await loss(BAD_CUTS, PowerDisk.make({ random, barrier: false }))).toBeDefined()
  },
)
