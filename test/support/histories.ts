/** Random histories of one document on several devices, as fast-check makes and shrinks them. */
import fc from 'fast-check'
import * as Y from 'yjs'

export type Step =
  | { kind: 'type'; device: number; at: number; text: string }
  | { kind: 'erase'; device: number; at: number; length: number }
  | { kind: 'set'; device: number; key: string; value: number }
  | { kind: 'nest'; device: number; key: string }
  | { kind: 'fetch'; device: number; from: number }

const device = fc.nat({ max: 2 })
const at = fc.nat({ max: 30 })
const key = fc.constantFrom('a', 'b', 'c')

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant('type' as const),
      device,
      at,
      text: fc.constantFrom('x', 'yz', '😀', 'ółć'),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('erase' as const),
      device,
      at,
      length: fc.integer({ min: 1, max: 6 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant('set' as const), device, key, value: fc.nat({ max: 9 }) }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('nest' as const), device, key }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('fetch' as const), device, from: device }) },
)

export const history: fc.Arbitrary<Step[]> = fc.array(step, { minLength: 1, maxLength: 40 })

/** What each local edit of a history sends to the others, in the order of writing. */
export function updatesOf(steps: Step[]): Uint8Array[] {
  const docs = [11, 22, 33].map((clientID) => Object.assign(new Y.Doc(), { clientID }))
  const updates: Uint8Array[] = []
  for (const doc of docs) {
    doc.on('update', (update: Uint8Array, origin: unknown) => {
      if (origin !== 'fetched') updates.push(update)
    })
  }
  for (const each of steps) perform(each, docs)
  for (const doc of docs) doc.destroy()
  return updates
}

function perform(step: Step, docs: Y.Doc[]): void {
  const doc = docs[step.device]!
  const text = doc.getText('text')
  const map = doc.getMap('map')
  switch (step.kind) {
    case 'type':
      return text.insert(Math.min(step.at, text.length), step.text)
    case 'erase': {
      const from = Math.min(step.at, text.length)
      const length = Math.min(step.length, text.length - from)
      if (length > 0) text.delete(from, length)
      return
    }
    case 'set':
      map.set(step.key, step.value)
      return
    case 'nest': {
      const inner = map.get(step.key)
      if (inner instanceof Y.Array) inner.push([inner.length])
      else map.set(step.key, new Y.Array())
      return
    }
    case 'fetch':
      Y.applyUpdate(doc, Y.encodeStateAsUpdate(docs[step.from]!), 'fetched')
  }
}

/** All that can be seen of a document of these histories, and all that Yjs counts of it. */
export function contentOf(doc: Y.Doc): unknown {
  const snapshot = Y.snapshot(doc)
  const deletions = [...snapshot.ds.clients].map(([client, ranges]) => [
    client,
    ranges.map(({ clock, len }) => [clock, len]),
  ])
  return {
    text: doc.getText('text').toString(),
    map: doc.getMap('map').toJSON(),
    clocks: [...snapshot.sv].sort(([a], [b]) => a - b),
    deletions: deletions.sort(([a], [b]) => Number(a) - Number(b)),
    pending: doc.store.pendingStructs !== null || doc.store.pendingDs !== null,
  }
}
