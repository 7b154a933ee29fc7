import { expect, test } from 'vitest'
import { concat, toHex, utf8 } from '../../src/protocol/bytes.js'
import { formatInvitation, parseInvitation } from '../../src/protocol/invitation.js'
import { portableNatives } from '../../src/protocol/portable.js'
import { parsePracticeCode, practiceCode } from '../../src/protocol/practice-code.js'
import { seededRandom } from './vectors.js'

const ALPHABET = '0123456789ABCDEFGHJKMNPQRSTVWXYZ'
const random = seededRandom('practice code')
const codes = Array.from({ length: 20 }, () => practiceCode(portableNatives, random(32)))

test('a code has its form, is stable, and parses to itself', () => {
  const id = random(32)
  expect(practiceCode(portableNatives, id)).toBe(practiceCode(portableNatives, id))
  expect(new Set(codes).size).toBe(codes.length)
  for (const code of codes) {
    expect(code).toMatch(/^([0-9A-HJKMNP-TV-Z]{6}-){2}[0-9A-HJKMNP-TV-Z]{6}$/)
    expect(parsePracticeCode(code)).toEqual({ code })
  }
})

test('a code is 80 bits of the practice, five in each character, and two characters that check them', () => {
  for (const id of [random(32), new Uint8Array(32)]) {
    const code = practiceCode(portableNatives, id)
    const digest = portableNatives.sha256(concat([utf8('kartoteka/1 practice code'), id]))
    const bits = BigInt(`0x${toHex(digest.subarray(0, 10))}`)
    const characters = Array.from(
      { length: 16 },
      (_, at) => ALPHABET[Number((bits >> BigInt(75 - 5 * at)) & 31n)],
    )
    expect(code.replaceAll('-', '').slice(0, 16)).toBe(characters.join(''))
    expect(code).toMatch(/^.{6}-.{6}-.{6}$/)
    expect(parsePracticeCode(code)).toEqual({ code })
  }
})

test('any two wrong characters are noticed', () => {
  const plain = [...codes[0]!.replaceAll('-', '')]
  const other = (at: number, by: number) => ALPHABET[(ALPHABET.indexOf(plain[at]!) + 1 + (by % 31)) % 32]!
  for (let tried = 0; tried < 1000; tried++) {
    const [a, b, byA, byB] = [...random(4)] as [number, number, number, number]
    const [first, second] = [a % 18, (a + 1 + (b % 17)) % 18]
    const typed = plain.with(first, other(first, byA)).with(second, other(second, byB))
    expect(parsePracticeCode(typed.join(''))).toEqual({ error: 'mistyped' })
  }
})

test('case, hyphens and spaces do not matter, lookalikes are forgiven', () => {
  for (const code of codes) {
    const typed = [
      code.toLowerCase(),
      code.replaceAll('-', ''),
      ` ${code.replaceAll('-', ' ')}\n`,
      code.replaceAll('1', 'l').replaceAll('0', 'o'),
      code.replaceAll('1', 'I').replaceAll('0', 'O'),
    ]
    for (const text of typed) expect(parsePracticeCode(text)).toEqual({ code })
  }
})

test('every substitution of one character and every exchange of two neighbours is noticed', () => {
  for (const code of codes) {
    const plain = code.replaceAll('-', '')
    for (let i = 0; i < plain.length; i++) {
      for (const character of ALPHABET) {
        if (character === plain[i]) continue
        const changed = plain.slice(0, i) + character + plain.slice(i + 1)
        expect(parsePracticeCode(changed)).toEqual({ error: 'mistyped' })
      }
      if (i > 0 && plain[i] !== plain[i - 1]) {
        const exchanged = plain.slice(0, i - 1) + plain[i]! + plain[i - 1]! + plain.slice(i + 1)
        expect(parsePracticeCode(exchanged)).toEqual({ error: 'mistyped' })
      }
    }
  }
})

test('what is no code at all is told apart', () => {
  const code = codes[0]!
  for (const text of ['', 'hello', code.slice(1), `${code}0`, `U${code.slice(1)}`, `é${code.slice(1)}`]) {
    expect(parsePracticeCode(text)).toEqual({ error: 'not-a-code' })
  }
})

test('an invitation comes back, a bare code is one', () => {
  const code = codes[0]!
  const addresses = ['/ip4/192.0.2.7/tcp/4001', '/dns4/device.example/tcp/443/wss/p2p/12D3KooW?&=%']
  const relays = ['/dns4/relay.example/tcp/4001/p2p/12D3KooW']
  const text = formatInvitation({ code, addresses, relays })
  expect(text.startsWith(`kartoteka:${code}?at=/ip4/192.0.2.7/tcp/4001&at=`)).toBe(true)
  expect(text.endsWith('&relay=/dns4/relay.example/tcp/4001/p2p/12D3KooW')).toBe(true)
  expect(parseInvitation(`  ${text}\n`)).toEqual({ code, addresses, relays })
  expect(parseInvitation(text.replace('kartoteka', 'KARTOTEKA'))).toEqual({ code, addresses, relays })
  const bare = { code, addresses: [], relays: [] }
  expect(formatInvitation(bare)).toBe(`kartoteka:${code}`)
  expect(parseInvitation(formatInvitation(bare))).toEqual(bare)
  expect(parseInvitation(code.toLowerCase())).toEqual(bare)
  expect(parseInvitation(`kartoteka:${code}?`)).toEqual(bare)
  const most = { ...bare, addresses: Array.from({ length: 16 }, () => `/${'a'.repeat(299)}`) }
  expect(parseInvitation(formatInvitation(most))).toEqual(most)
})

test('hostile invitations are refused', () => {
  const code = codes[0]!
  const refused: [string, string][] = [
    ['kartoteka:', 'not-a-code'],
    ['https://example.org', 'not-a-code'],
    [`${code}?at=relay.example`, 'bad-address'],
    [`${code}?relay=relay.example`, 'bad-address'],
    [`${code}?at=relay.example/tcp/1`, 'bad-address'],
    [`${code}?other=/ip4/192.0.2.7`, 'bad-address'],
    [`${code}?at=/ip4/%0a`, 'bad-address'],
    [`${code}?at=/ip4/%zz`, 'bad-address'],
    [`${code}?at=/${'a'.repeat(300)}`, 'bad-address'],
    [`${code}?pin=482913`, 'bad-address'],
    [`${code}?${Array.from({ length: 17 }, () => 'at=/a').join('&')}`, 'too-long'],
    [`${code}?${'x'.repeat(9000)}`, 'too-long'],
  ]
  for (const [text, error] of refused) expect(parseInvitation(text)).toEqual({ error })
})
