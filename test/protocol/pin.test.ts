import { expect, test } from 'vitest'
import { pinFault, pinToBytes, proposePin, stripNewline } from '../../src/protocol/pin.js'
import { seededRandom } from './vectors.js'

test.each([
  ['12345', 'too-short'],
  ['zażół', 'too-short'],
  ['x'.repeat(129), 'too-long'],
  ['000000', 'repeated'],
  ['aaAaaa', 'repeated'],
  ['ééééééé', 'repeated'],
  ['123456', 'run'],
  ['654321', 'run'],
  ['567890', 'run'],
  ['109876', 'run'],
  ['abcdef', 'run'],
  ['FeDcBa', 'run'],
  ['987654321', 'run'],
  // Only digits go round.
  ['fghija', undefined],
  ['678/01', undefined],
  ['xy'.repeat(64), undefined],
  ['praxis grün', 'practice-name'],
  ['PRAXIS GRÜN', 'practice-name'],
  [' Praxis gru\u0308n', 'practice-name'],
  ['ＰＲＡＸＩＳ　ＧＲÜＮ', 'practice-name'],
  ['482913', undefined],
  ['112233', undefined],
  ['135791', undefined],
  ['Praxis grün 7', undefined],
])('choosing %j: %s', (pin, fault) => {
  expect(pinFault(pin, 'Praxis Grün')).toBe(fault)
})

test('one trailing newline is stripped, nothing else', () => {
  expect(stripNewline('482913\n')).toBe('482913')
  expect(stripNewline('482913\r\n')).toBe('482913')
  expect(stripNewline('482913\n\n')).toBe('482913\n')
  expect(stripNewline(' 482913 ')).toBe(' 482913 ')
  expect(stripNewline('482\n913')).toBe('482\n913')
})

test('a PIN has the same bytes however it is composed', () => {
  expect(pinToBytes('gru\u0308n12')).toEqual(pinToBytes('gr\u00fcn12'))
  expect(pinToBytes('４８２９１３')).toEqual(pinToBytes('482913'))
  expect(pinToBytes('482913 ')).not.toEqual(pinToBytes('482913'))
})

test('a name with spaces around it is the practice name too', () => {
  expect(pinFault('praxis grün', ' Praxis Grün ')).toBe('practice-name')
})

test('every digit of a proposed PIN is as likely as any other: bytes that would favour some are passed over', () => {
  const bytes = [250, 251, 252, 253, 254, 255, 4, 18, 72, 249, 111, 253, 3, 235, 96]
  const taken = () => Uint8Array.of(bytes.shift()!)
  expect(proposePin(taken, 'Praxis')).toBe('48291356')
})

test('a PIN that the rules refuse is not proposed', () => {
  const digits = [...'12345678', ...'77777777', ...'20231105', ...'48291356']
  const taken = () => Uint8Array.of(Number(digits.shift()))
  expect(proposePin(taken, '20231105')).toBe('48291356')
})

test('proposed PINs pass the rules', () => {
  const random = seededRandom('pin')
  const proposals = new Set(Array.from({ length: 50 }, () => proposePin(random, 'Praxis')))
  expect(proposals.size).toBe(50)
  for (const pin of proposals) {
    expect(pin).toMatch(/^\d{8}$/)
    expect(pinFault(pin, 'Praxis')).toBeUndefined()
  }
})
