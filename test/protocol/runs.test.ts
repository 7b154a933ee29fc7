import { expect, it } from 'vitest'
import { RUN_BYTES, Runs } from '../../src/protocol/runs.js'

const run = (number: number) => new Uint8Array(RUN_BYTES).fill(number)
const heard = (...numbers: number[]) => {
  const runs = new Runs()
  return numbers.map((number) => runs.heard('desk', run(number)))
}

it('takes one start after another for one device, however often each says who it is', () => {
  expect(heard(1, 1, 2, 2, 2, 3, 3, 4, 5, 6, 7, 8, 9, 10, 11)).not.toContain(true)
})

it('is not misled by what one that has ended said late', () => {
  expect(heard(1, 2, 1, 2, 2, 2, 3)).not.toContain(true)
})

it('tells two that live at once, each that comes back', () => {
  expect(heard(1, 2, 1, 2, 1, 2, 2)).toEqual([false, false, false, false, true, true, false])
  expect(heard(1, 2, 3, 1, 2, 3, 1).at(-1)).toBe(true)
})

it('remembers the last eight runs: one that comes back behind more than these is new', () => {
  expect(heard(1, 2, 1, 3, 4, 5, 6, 7, 8, 9, 1).at(-1)).toBe(true)
  expect(heard(1, 2, 1, 3, 4, 5, 6, 7, 8, 9, 10, 1).at(-1)).toBe(false)
})

it('stops when only one is left', () => {
  expect(heard(1, 2, 1, 2, 1, 2, 1, 1, 1).slice(-2)).toEqual([false, false])
})

it('keeps devices apart', () => {
  const runs = new Runs()
  for (let turn = 0; turn < 9; turn++) {
    expect(runs.heard('desk', run(1))).toBe(false)
    expect(runs.heard('laptop', run(2))).toBe(false)
  }
})
