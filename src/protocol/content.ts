/**
 * What a case's content needs and gives, in Yjs clocks: whether an update fits now, and what is known after it.
 *
 *  [D1] an update that breaks a context-free bound is void, on every device alike;
 *  [D2] an update whose base is unknown is parked inside its case until it fits; the author's frontier advances.
 */

/** What an update brings and needs, read without applying it (see inspect.ts). */
export interface UpdateContents {
  clients: { client: number; from: number; to: number }[]
  needs: Map<number, number>
  deletes: Map<number, number>
}

/** client → how many of its clock ticks the case contains. */
export type Clocks = Map<number, number>

/** [D2] Everything it refers to is known, or comes with it. A deletion past known clocks never fits. */
export function fits(update: UpdateContents, clocks: Clocks): boolean {
  const brings = new Map<number, number>()
  for (const { client, from, to } of update.clients) {
    if (from > Math.max(clocks.get(client) ?? 0, brings.get(client) ?? 0)) return false
    brings.set(client, Math.max(brings.get(client) ?? 0, to))
  }
  const known = (client: number) => Math.max(clocks.get(client) ?? 0, brings.get(client) ?? 0)
  for (const [client, clock] of update.needs) if (clock > known(client)) return false
  for (const [client, clock] of update.deletes) if (clock > known(client)) return false
  return true
}

/** The clocks after the update; mutates and returns `clocks`. */
export function advance(update: UpdateContents, clocks: Clocks): Clocks {
  for (const { client, to } of update.clients) {
    if (to > (clocks.get(client) ?? 0)) clocks.set(client, to)
  }
  return clocks
}
