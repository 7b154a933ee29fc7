/** List rows of cases that others go on changing: projected from the document of a moment ago, and always as anew. */
import { afterEach, expect, it } from 'vitest'
import { createUpdate } from '../../src/cases/create.js'
import { projectRow } from '../../src/cases/project.js'
import { nodeNatives } from '../../src/node/natives.js'
import { KIND_UPDATE } from '../../src/protocol/log.js'
import { type CaseDraft, decodeParts, docOf } from '../../src/store/case-content.js'
import { keys } from '../../src/store/keyspace.js'
import { ProjectedDocuments } from '../../src/store/projected.js'
import { casesFrom, readChanges } from '../../src/store/reading.js'
import { change, LAST_KIND } from '../simulation/content.js'
import { type SimDevice, World } from '../support/world.js'

const world = new World(77)
afterEach(() => world.stop())

/** What `to` lacks of `from`, some runs at a time. */
async function give(from: SimDevice, to: SimDevice): Promise<void> {
  const lacking = new Map(
    [...from.replica.logs.all()].map(({ log }) => [log, to.replica.logs.get(log)?.seq ?? 0]),
  )
  const { openings, runs } = await readChanges(from.replica, lacking, 1_000_000)
  const { refused, forks, gaps } = await to.replica.admit(openings, runs, from.ed)
  expect([refused, forks, gaps]).toEqual([[], [], []])
}

async function expectRowsAsAnew({ replica }: SimDevice): Promise<void> {
  for await (const state of casesFrom(replica, new Uint8Array(0))) {
    const parts = await replica.db.getMany(state.parts.map(({ number }) => keys.part(state.key, number)))
    const doc = docOf(decodeParts(nodeNatives, parts as Uint8Array[]))
    expect(state.row).toBe(JSON.stringify(projectRow(doc, nodeNatives.sha256)))
  }
}

it('are what a projection from the store gives, whoever wrote and whatever came between', async () => {
  const { random } = world
  const [a, b] = [await world.add('a'), await world.add('b')]
  const ids = ['one', 'two', 'three']
  for (const id of ids) {
    const update = createUpdate({ id, consultations: [{ id: 'c', text: 'start' }] }, nodeNatives.sha256)
    await a.replica.append([{ caseId: id, kind: KIND_UPDATE, update }])
  }
  await give(a, b)
  const { taken } = ProjectedDocuments.prototype
  let used = 0
  b.replica.projected.taken = function (this: ProjectedDocuments, draft: CaseDraft) {
    const doc = taken.call(this, draft)
    if (doc) used++
    return doc
  }
  for (let step = 0; step < 300; step++) {
    const roll = random()
    const edit = (device: SimDevice) =>
      device.edit(random.pick(ids), (doc) => change(doc, random.int(0, LAST_KIND), `T${step}Z`, random))
    if (roll < 0.5) await edit(a)
    else if (roll < 0.6) await edit(b)
    else if (roll < 0.9) await give(a, b)
    else if (roll < 0.95) await give(b, a)
    else b.replica.docs.forget(random.pick(ids))
    if (roll >= 0.6) await expectRowsAsAnew(b)
  }
  expect(used).toBeGreaterThan(15)
})

it('a document goes with the state of its case that was written, and the oldest where they become many', async () => {
  const projected = new ProjectedDocuments()
  const draftOf = (caseId: string, bytes: number, base?: unknown) => {
    const state = { caseId, unchecked: false, parts: [{ number: 0, bytes }] }
    return { state, base, projected: docOf([]), addsOnlyMerged: true, merged: [] } as unknown as CaseDraft
  }
  const first = draftOf('one', 10)
  projected.keep([first])
  // Another state than the one that was written.
  expect(projected.taken(draftOf('one', 10, { ...first.state }))).toBeUndefined()
  projected.keep([first])
  expect(projected.taken(draftOf('one', 10, first.state))).toBe(first.projected)
  // It is the draft's then.
  expect(projected.taken(draftOf('one', 10, first.state))).toBeUndefined()
  projected.keep([
    first,
    draftOf('large', 900_000),
    draftOf('larger', 900_000),
    draftOf('largest', 5_000_000),
  ])
  expect(projected.taken(draftOf('one', 10, first.state))).toBeUndefined()
  const many = Array.from({ length: 100 }, (_, at) => draftOf(`${at}`, 10))
  projected.keep(many)
  const kept = many.filter(({ state }) => projected.taken(draftOf(state.caseId, 10, state)))
  expect(kept).toEqual(many.slice(-64))
})
