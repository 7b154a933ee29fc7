import { expect, test } from 'vitest'
import { Rates } from '../../src/protocol/rates.js'

const often = (rates: Rates, who: string, now: number, count: number) =>
  Array.from({ length: count }, () => rates.take(who, now)).filter((may) => may).length

test('so often at once, and then as fast as it fills again', () => {
  const rates = new Rates({ burst: 3, perSecond: 2 })
  expect(often(rates, 'a', 1_000, 5)).toBe(3)
  expect(rates.take('a', 1_499)).toBe(false)
  expect(rates.take('a', 1_500)).toBe(true)
  expect(rates.take('a', 1_500)).toBe(false)
  expect(often(rates, 'a', 2_500, 5)).toBe(2)
})

test('a refusal costs nothing, and a long pause fills no more than the burst', () => {
  const rates = new Rates({ burst: 2, perSecond: 1 })
  expect(often(rates, 'a', 0, 10)).toBe(2)
  for (let now = 250; now < 1_000; now += 250) expect(rates.take('a', now)).toBe(false)
  expect(rates.take('a', 1_000)).toBe(true)
  expect(often(rates, 'a', 1_000_000, 10)).toBe(2)
})

test('everybody has a bucket of their own, and a clock that goes back gives nothing', () => {
  const rates = new Rates({ burst: 1, perSecond: 1 })
  expect([rates.take('a', 5_000), rates.take('b', 5_000), rates.take('a', 5_000)]).toEqual([
    true,
    true,
    false,
  ])
  expect(rates.take('a', 1_000)).toBe(false)
  expect(rates.take('a', 1_900)).toBe(false)
})

test('buckets are bounded: the one that was least used is forgotten, and full again', () => {
  const rates = new Rates({ burst: 1, perSecond: 0 })
  expect(rates.take('first', 0)).toBe(true)
  expect(rates.take('kept', 0)).toBe(true)
  for (let at = 0; at < 9_998; at++) rates.take(`other ${at}`, 0)
  expect(rates.take('kept', 0)).toBe(false)
  expect(rates.take('one more', 0)).toBe(true)
  // Asking moves to the end: `kept` is still known, `first` is not.
  expect(rates.take('kept', 0)).toBe(false)
  expect(rates.take('first', 0)).toBe(true)
})
