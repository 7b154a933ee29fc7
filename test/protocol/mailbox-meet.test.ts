/** [B13] Who finds whom by a practice code: with windows and a clock of the test's own. */
import { expect, test } from 'vitest'
import { FIND_RATE, FIND_RATE_IN_ALL, Meeting } from '../../src/protocol/mailbox-meet.js'
import { practiceCode } from '../../src/protocol/practice-code.js'
import { natives } from './roster-helpers.js'

const practice = new Uint8Array(32).fill(1)
const other = new Uint8Array(32).fill(2)
const [code, otherCode] = [practiceCode(natives, practice), practiceCode(natives, other)]
const device = (number: number) => new Uint8Array(32).fill(number)
const [a, b] = [device(10), device(11)]
const meeting = (...open: Uint8Array[]) => {
  const meeting = new Meeting(natives)
  for (const each of open) meeting.open(practice, each)
  return meeting
}

test('[B13] a code finds the windows of its own practice, with or without hyphens and check characters', () => {
  const met = meeting(a, b)
  met.open(other, device(12))
  const plain = code.replaceAll('-', '')
  for (const asked of [code, plain, plain.slice(0, 16), `${plain.slice(0, 16)}00`])
    expect(met.find('', asked, 0)).toEqual([a, b])
  expect(met.find('', otherCode, 0)).toEqual([device(12)])
  expect([a, b, device(12), device(13)].map((each) => met.hasWindow(each))).toEqual([true, true, true, false])
})

test('[B13] part of a code, something in front of it, and nothing find nobody', () => {
  const met = meeting(a)
  for (const asked of ['', code.slice(0, 17), `X${code}`, '-'.repeat(40) + code])
    expect(met.find('', asked, 0)).toEqual([])
})

test('[B13] a window that two sessions of a device hold open is named once, until both have closed it', () => {
  const met = meeting(a, b, a)
  expect(met.find('', code, 0)).toEqual([a, b])
  met.close(practice, a)
  expect(met.hasWindow(a)).toBe(true)
  expect(met.find('', code, 0)).toEqual([b, a])
  met.close(practice, a)
  expect(met.hasWindow(a)).toBe(false)
  expect(met.find('', code, 0)).toEqual([b])
})

test('[B13] who closes what it has not opened closes nobody else’s', () => {
  const met = meeting(a)
  met.close(practice, b)
  met.close(other, a)
  expect(met.find('', code, 0)).toEqual([a])
  expect([met.hasWindow(a), met.hasWindow(b)]).toEqual([true, false])
})

test('[B13] eight devices are named at most', () => {
  const met = meeting(...Array.from({ length: 20 }, (_, number) => device(number)))
  expect(met.find('', code, 0)).toHaveLength(8)
})

test('[B13] an address that asks too often takes no more than its share from the others', () => {
  const met = meeting(a)
  const asked = Array.from({ length: 10 * FIND_RATE_IN_ALL.burst }, () => met.find('one', code, 0))
  expect(asked.filter((found) => found)).toHaveLength(FIND_RATE.burst)
  const others = Array.from({ length: FIND_RATE_IN_ALL.burst }, (_, number) => met.find(`${number}`, code, 0))
  expect(others.filter((found) => found)).toHaveLength(FIND_RATE_IN_ALL.burst - FIND_RATE.burst)
})
