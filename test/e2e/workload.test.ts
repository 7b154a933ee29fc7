/** The workload is pinned: whoever measures or reproduces a failure gets the same bytes. */
import { createHash } from 'node:crypto'
import { expect, it } from 'vitest'
import { type WorkloadKind, workloadLines } from '../support/workload.js'

it.each<[WorkloadKind, number, string]>([
  ['plain', 42, '3c44ca91b99533984da63195765d72c93137bcac379c5f5ef4521da36c83c11d'],
  ['full', 5, '307e02e64db05850ba4ea1571c78b88b642cfd280cab24380e9b13cd1fd0f20c'],
])('makes the same %s cases of seed %i every time', (kind, seed, hash) => {
  const lines = workloadLines(1000, seed, kind)
  expect(createHash('sha256').update(lines).digest('hex')).toBe(hash)
})
