/** [P4] What other devices say they have left, for whom, and how long that counts. */
import { expect, test } from 'vitest'
import { fromHex } from '../../src/protocol/bytes.js'
import { LeftClaims } from '../../src/protocol/mail-claims.js'

const [A, B] = ['aa'.repeat(16), 'bb'.repeat(16)]
const [ME, FAR, DESK, LAPTOP] = [1, 2, 3, 4].map((n) => n.toString(16).padStart(2, '0').repeat(32))
const left = (recipient: string, counter: number, frontier: Record<string, number>) => ({
  recipient: fromHex(recipient),
  counter,
  frontier: Object.entries(frontier).map(([log, seq]) => ({
    log: fromHex(log),
    seq,
    check: new Uint8Array(8),
  })),
})

test('[P4] of what several have left the furthest counts, for each log and for its recipient alone', () => {
  const claims = new LeftClaims()
  claims.hear(DESK!, [left(FAR!, 0, { [A!]: 5, [B!]: 1 }), left(ME!, 0, { [A!]: 9 })])
  claims.hear(LAPTOP!, [left(FAR!, 0, { [A!]: 3, [B!]: 4 })])
  expect(claims.for(FAR!)).toEqual(
    new Map([
      [A, 5],
      [B, 4],
    ]),
  )
  expect(claims.for(ME!)).toEqual(new Map([[A, 9]]))
  expect(claims.for(DESK!)).toEqual(new Map())
})

test('[P4] a newer word of the same device stands for all that it said before', () => {
  const claims = new LeftClaims()
  claims.hear(DESK!, [left(FAR!, 0, { [A!]: 5 }), left(ME!, 0, { [A!]: 9 })])
  claims.hear(DESK!, [left(FAR!, 0, { [B!]: 2 })])
  expect(claims.for(FAR!)).toEqual(new Map([[B, 2]]))
  expect(claims.for(ME!)).toEqual(new Map())
})

test('[P4] counts until its recipient has spoken since; an older word of it that comes late takes nothing back', () => {
  const claims = new LeftClaims()
  claims.hear(DESK!, [left(FAR!, 3, { [A!]: 5 })])
  claims.hear(LAPTOP!, [left(FAR!, 4, { [A!]: 2 })])
  claims.spoke(FAR!, 3)
  expect(claims.for(FAR!)).toEqual(new Map([[A, 5]]))
  claims.spoke(FAR!, 4)
  claims.spoke(FAR!, 3)
  expect(claims.for(FAR!)).toEqual(new Map([[A, 2]]))
  expect(claims.for(FAR!, 5)).toEqual(new Map())
})
