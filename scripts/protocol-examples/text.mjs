/** The examples as PROTOCOL.md shows them. */
import { makeExamples } from './values.mjs'

const hexLines = (hex) => hex.match(/.{1,64}/g)?.join('\n') ?? ''

/** Every field that isn't at its default, one a line: `open[0].seq = 1`. */
function fieldLines(value, toHex, path = '') {
  if (value instanceof Uint8Array) return value.length === 0 ? [] : [`${path} = ${shortened(toHex(value))}`]
  if (Array.isArray(value)) return value.flatMap((item, at) => fieldLines(item, toHex, `${path}[${at}]`))
  if (typeof value === 'object' && value !== null) {
    return Object.entries(value).flatMap(([name, inner]) =>
      fieldLines(inner, toHex, path ? `${path}.${name}` : name),
    )
  }
  return value === 0 || value === '' || value === false ? [] : [`${path} = ${JSON.stringify(value)}`]
}

const shortened = (hex) => (hex.length <= 64 ? hex : `${hex.slice(0, 48)}… (${hex.length / 2} bytes)`)

const block = (...parts) => ['```', ...parts.filter((part) => part !== ''), '```'].join('\n')

/** The section of PROTOCOL.md between its marks. */
export function examplesText(code) {
  const made = makeExamples(code)
  const { toHex, office, laptop, practice, log, natives, roster, sync, pair, mail } = made
  const say = (name, bytes) => `${name} = ${toHex(bytes)}`
  const whole = (title, bytes, fields = {}) =>
    `${title}, ${bytes.length} bytes\n\n${block(...fieldLines(fields, toHex), hexLines(toHex(bytes)))}`
  const digest = code['protocol/frontier'].claimsDigest(natives, [
    { ...log.opening, log: log.id, seq: 1, check: log.check, cut: undefined },
  ])
  const indexKey = new Uint8Array(32).fill(0x77)
  const invitation = {
    code: code['protocol/practice-code'].practiceCode(natives, practice),
    addresses: ['/ip4/192.0.2.7/tcp/4001'],
    relays: [],
  }
  const { encodeFrame } = code['protocol/framing']
  const alive = sync.find(({ kind }) => kind === 'alive').bytes
  const bulk = [
    encodeFrame('bulk', Uint8Array.of(1, 2, 3), true),
    encodeFrame('bulk', Uint8Array.of(4, 5), false),
  ]
  const lines = [
    '### Keys',
    block(
      '"Office": Ed25519 seed 01 × 32, X25519 secret 11 × 32',
      say('ed', office.ed),
      say('x ', office.x),
      '"Laptop": Ed25519 seed 02 × 32, X25519 secret 12 × 32',
      say('ed', laptop.ed),
      say('x ', laptop.x),
      say('practice id', practice),
    ),
    '### Frames',
    block(
      `${toHex(encodeFrame('live', alive, false))}   a live message of ${alive.length} bytes, whole`,
      `${toHex(bulk[0])}       a bulk message of five bytes, its first fragment`,
      `${toHex(bulk[1])}         and its last`,
    ),
    '### A log, a change, a head, a signature',
    block(
      say('opening.device', log.opening.device),
      say('opening.random', log.opening.random),
      say('head(0)', log.head0),
      `log id = ${log.id}`,
      say('Yjs update', log.update),
      say('payload', log.change.payload),
      `case id "a1", generation 0, at ${log.change.at}, kind 1`,
      say('head(1)', log.head1),
      say('check(1)', log.check),
      say('signature over (practice, log id, 1, head(1))', log.signature),
      say('digest of the one claim', digest),
      say(
        'case key of "a1" under the index key 77 × 32',
        code['store/case-key'].caseKeysOf(natives, indexKey)('a1'),
      ),
    ),
    '### Practice code and invitation',
    block(invitation.code, code['protocol/invitation'].formatInvitation(invitation)),
    '### Messages of /kartoteka/sync/1',
    ...sync.map(({ kind, value, bytes }) => whole(`**${kind.toUpperCase()}**`, bytes, value)),
    '### Messages of /kartoteka/pair/1',
    'One whole pairing: "Laptop" (N) joins at "Office" (E) with the PIN 482913; and one refusal.',
    ...pair.map(({ kind, who, value, bytes }) => whole(`**${kind.toUpperCase()}**, ${who}`, bytes, value)),
    '### Letters and an envelope',
    'From "Office", under the first epoch key of the practice above.',
    block(
      say('epoch key', roster.first.key),
      say('key id', mail.keys.keyId),
      say('envelope key', mail.keys.sealKey),
      say('envelope id key', mail.keys.idKey),
      ...mail.ids.map(([what, id]) => say(`id of ${what}`, id)),
    ),
    ...mail.letters.map(({ name, value, bytes }) => whole(`**${name}**`, bytes, value)),
    [
      `**The first letter in its envelope**, ${mail.envelope.length} bytes; the nonce counts up from 00`,
      '',
      block(hexLines(toHex(mail.envelope))),
    ].join('\n'),
    '### Roster entries',
    ...roster.entries.map(([what, entry]) => whole(`**${what}**`, entry)),
  ]
  return lines.join('\n\n')
}
