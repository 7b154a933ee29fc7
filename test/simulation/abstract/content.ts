/** Stands for test/simulation/content.ts in the abstract simulator: operations on sets. */
import type { Random } from '../../support/random.js'
import { type Doc, encodeUpdate, type Id } from './yjs.js'

export const LAST_KIND = 9

export function beginning(_id: string, token: string): Uint8Array {
  // As with an import, the same beginning on two devices is the same operation.
  const client = Number(token.slice(1, -1)) + 1
  return encodeUpdate({ operations: [{ client, clock: 0, token }], deleted: [] })
}

export function change(doc: Doc, kind: number, token: string, random: Random): void {
  const places: Id[] = doc.operations.map(({ client, clock }) => ({ client, clock }))
  if (kind >= 8) return doc.erase(random.pick(places))
  doc.write(token, kind < 5 ? random.pick(places) : undefined)
  if (kind === 7) doc.erase(random.pick(places))
}

export const leavesToken = (kind: number) => kind < 8
