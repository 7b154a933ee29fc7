import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import * as Y from 'yjs'
import { inspectUpdate } from '../../src/cases/inspect.js'
import { nodeNatives } from '../../src/node/natives.js'
import { toHex } from '../../src/protocol/bytes.js'
import { advance, type Clocks, fits, type UpdateContents } from '../../src/protocol/content.js'
import { KIND_UPDATE } from '../../src/protocol/log.js'
import { encodePayload } from '../../src/protocol/payload.js'
import { CaseDraft, docOf } from '../../src/store/case-content.js'
import { emptyCase } from '../../src/store/case-state.js'
import { contentOf, history, updatesOf } from '../support/histories.js'

const ref = (entries: [number, number][]) => new Map(entries)
const contents = (given: Partial<UpdateContents>): UpdateContents => ({
  clients: [],
  needs: new Map(),
  deletes: new Map(),
  ...given,
})

describe('[D2] an update fits', () => {
  test.each<[string, Partial<UpdateContents>, [number, number][], boolean]>([
    ['when it is empty', {}, [], true],
    ['when it begins a client', { clients: [{ client: 1, from: 0, to: 5 }] }, [], true],
    ['when it goes on where I stand', { clients: [{ client: 1, from: 5, to: 8 }] }, [[1, 5]], true],
    ['when it repeats and goes on', { clients: [{ client: 1, from: 2, to: 8 }] }, [[1, 5]], true],
    ['when all of it is known', { clients: [{ client: 1, from: 2, to: 4 }] }, [[1, 5]], true],
    ['not when it leaves a gap', { clients: [{ client: 1, from: 6, to: 8 }] }, [[1, 5]], false],
    ['not when its client is unknown', { clients: [{ client: 1, from: 1, to: 8 }] }, [[2, 9]], false],
    [
      'when its gap is known here',
      {
        clients: [
          { client: 1, from: 0, to: 2 },
          { client: 1, from: 4, to: 6 },
        ],
      },
      [[1, 4]],
      true,
    ],
    [
      'not when its own gap is unknown',
      {
        clients: [
          { client: 1, from: 0, to: 2 },
          { client: 1, from: 4, to: 6 },
        ],
      },
      [[1, 3]],
      false,
    ],
    ['when what it refers to is known', { needs: ref([[2, 3]]) }, [[2, 3]], true],
    ['not when what it refers to is unknown', { needs: ref([[2, 4]]) }, [[2, 3]], false],
    [
      'when what it refers to comes with it',
      { clients: [{ client: 2, from: 0, to: 4 }], needs: ref([[2, 4]]) },
      [],
      true,
    ],
    ['when what it deletes is known', { deletes: ref([[2, 3]]) }, [[2, 3]], true],
    [
      'when it deletes what it brings',
      { clients: [{ client: 2, from: 0, to: 3 }], deletes: ref([[2, 3]]) },
      [],
      true,
    ],
    ['not when it deletes past known clocks', { deletes: ref([[2, 4]]) }, [[2, 3]], false],
    ['not when it deletes of an unknown client', { deletes: ref([[2, 1]]) }, [[1, 9]], false],
  ])('%s', (_name, given, clocks, expected) => {
    expect(fits(contents(given), new Map(clocks))).toBe(expected)
  })

  test('an eleven-byte deletion of everything that a client may ever write never fits', () => {
    const update = Uint8Array.of(0, 1, 7, 1, 0, 0x80, 0x80, 0x80, 0x80, 0x80, 0x20)
    const read = inspectUpdate(update)
    if ('error' in read) throw new Error(read.error)
    expect(read.deletes).toEqual(new Map([[7, 2 ** 40]]))
    for (const clock of [0, 1, 1_000_000]) expect(fits(read, new Map([[7, clock]]))).toBe(false)
  })
})

test('clocks only rise', () => {
  const clocks: Clocks = new Map([[1, 5]])
  advance(
    contents({
      clients: [
        { client: 1, from: 0, to: 3 },
        { client: 2, from: 0, to: 4 },
      ],
    }),
    clocks,
  )
  expect(clocks).toEqual(
    new Map([
      [1, 5],
      [2, 4],
    ]),
  )
})

/** What a case has become after these updates, taken in this order. */
function taken(updates: Uint8Array[]) {
  const draft = new CaseDraft(emptyCase(new Uint8Array(16), 'case'), nodeNatives)
  updates.forEach((update, at) => {
    const payload = encodePayload(nodeNatives, update)
    draft.apply('aa'.repeat(16), at + 1, { caseId: 'case', generation: 0, at: 0, kind: KIND_UPDATE, payload })
  })
  return draft
}

/** Everything that must not depend on the order. */
function outcome(updates: Uint8Array[]) {
  const draft = taken(updates)
  const doc = docOf(draft.merged)
  const content = contentOf(doc)
  doc.destroy()
  return {
    content,
    clocks: [...draft.state.clocks].sort(([a], [b]) => a - b),
    parked: draft.state.parked.map(({ payload }) => toHex(payload)).sort(),
  }
}

describe('[S2] [D2] real documents, edited on three devices, their updates taken in any order', () => {
  const orders = history.chain((steps) => {
    const updates = updatesOf(steps)
    const all = fc.shuffledSubarray(updates, { minLength: updates.length })
    const some = fc
      .subarray(updates)
      .chain((left) => fc.tuple(fc.constant(left), fc.shuffledSubarray(left, { minLength: left.length })))
    return fc.record({ updates: fc.constant(updates), all, some })
  })

  test('all of them: nothing stays parked, and content and clocks are those of Yjs itself', () => {
    fc.assert(
      fc.property(orders, ({ updates, all }) => {
        const reference = new Y.Doc()
        for (const update of updates) Y.applyUpdate(reference, update)
        const result = outcome(all)
        expect(result.parked).toEqual([])
        expect(result.content).toEqual(contentOf(reference))
        expect(result.clocks).toEqual([...Y.snapshot(reference).sv].sort(([a], [b]) => a - b))
      }),
      { seed: 21, numRuns: 300 },
    )
  })

  test('some of them: the same ones fit, the same ones wait, and the content is the same', () => {
    fc.assert(
      fc.property(orders, ({ some: [kept, shuffled] }) => {
        const result = outcome(kept)
        expect(outcome(shuffled)).toEqual(result)
        expect(result.content).toMatchObject({ pending: false })
      }),
      { seed: 22, numRuns: 300 },
    )
  })

  test('some twice: nothing changes', () => {
    fc.assert(
      fc.property(orders, ({ all, some: [, again] }) => {
        expect(outcome([...all, ...again])).toEqual(outcome(all))
        expect(outcome([...again, ...all]).content).toEqual(outcome(all).content)
      }),
      { seed: 23, numRuns: 150 },
    )
  })

  test('what fits by its clocks never leaves anything pending in Yjs', () => {
    fc.assert(
      fc.property(orders, ({ all }) => {
        const doc = new Y.Doc()
        const clocks: Clocks = new Map()
        for (const update of all) {
          const read = inspectUpdate(update)
          if ('error' in read) throw new Error(read.error)
          if (!fits(read, clocks)) continue
          Y.applyUpdate(doc, update)
          advance(read, clocks)
          expect(contentOf(doc)).toMatchObject({
            pending: false,
            clocks: [...clocks].sort(([a], [b]) => a - b),
          })
        }
      }),
      { seed: 24, numRuns: 200 },
    )
  })

  test('merged and differential updates fit and advance like the ones they are made of', () => {
    fc.assert(
      fc.property(orders, fc.nat(), ({ updates, all }, at) => {
        const cut = at % (updates.length + 1)
        const known = new Y.Doc()
        for (const update of updates.slice(0, cut)) Y.applyUpdate(known, update)
        const whole = new Y.Doc()
        for (const update of updates) Y.applyUpdate(whole, update)
        const difference = Y.encodeStateAsUpdate(whole, Y.encodeStateVector(known))
        const state = Y.encodeStateAsUpdate(known)
        const reference = outcome(all)
        expect(outcome([difference, state])).toEqual(reference)
        expect(outcome([state, difference, ...all])).toEqual(reference)
      }),
      { seed: 25, numRuns: 200 },
    )
  })
})
