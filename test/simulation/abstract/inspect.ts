/** Stands for src/cases/inspect.ts in the abstract simulator: what an update of sets brings and needs. */
import type { Inspection } from '../../../src/cases/inspect.js'
import { decodeUpdate } from './yjs.js'

export const INSPECTION_LIMITS = {}
export const STATE_LIMITS = {}

export function inspectUpdate(bytes: Uint8Array): Inspection | { error: string } {
  const update = decodeUpdate(bytes)
  if (!update) return { error: 'no update' }
  const clients: Inspection['clients'] = []
  const needs = new Map<number, number>()
  const deletes = new Map<number, number>()
  const reach = (of: Map<number, number>, client: number, clock: number) =>
    of.set(client, Math.max(of.get(client) ?? 0, clock + 1))
  for (const { client, clock, on } of update.operations) {
    const last = clients[clients.length - 1]
    if (last?.client === client && last.to === clock) last.to = clock + 1
    else clients.push({ client, from: clock, to: clock + 1 })
    if (on) reach(needs, on.client, on.clock)
  }
  for (const { client, clock } of update.deleted) reach(deletes, client, clock)
  const brings = new Map(clients.map(({ client, to }) => [client, to]))
  for (const [client, clock] of needs) if (clock <= (brings.get(client) ?? 0)) needs.delete(client)
  return { clients, needs, deletes, structs: update.operations.length, deletions: update.deleted.length }
}
