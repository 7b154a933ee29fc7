import { expect, test } from 'vitest'
import { PeerRests } from '../../src/node/device/peer-rests.js'

test('who is refused again and again is left alone longer each time, until something changes or a session stands', () => {
  const rests = new PeerRests()
  const refuse = () => {
    rests.refused('peer')
    return rests.restMs('peer')
  }
  expect(rests.restMs('peer')).toBe(0)
  expect([refuse(), refuse(), refuse()]).toEqual([200, 400, 800])
  for (let at = 0; at < 10; at++) refuse()
  expect([rests.restMs('peer'), rests.restMs('other')]).toEqual([20_000, 0])
  rests.stood('peer', 20_000)
  expect(rests.restMs('peer')).toBe(20_000)
  rests.stood('peer', 20_001)
  expect(rests.restMs('peer')).toBe(0)
  refuse()
  rests.forget()
  expect(rests.restMs('peer')).toBe(0)
})
