/** Envelopes: what is sealed comes back whole, and nothing else comes back at all. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { nodeNatives } from '../../src/node/natives.js'
import { concat, equalBytes, fromHex, toHex, u32 } from '../../src/protocol/bytes.js'
import { edPublicKey } from '../../src/protocol/ed25519.js'
import { Letter } from '../../src/protocol/envelope.gen.js'
import {
  changesId,
  type EnvelopeKind,
  envelopeHeader,
  type LetterBody,
  type LogRange,
  MIN_PLAINTEXT_BYTES,
  openEnvelope,
  padmeBytes,
  sealEnvelope,
  statesId,
  wordId,
} from '../../src/protocol/envelope.js'
import { envelopeKeys } from '../../src/protocol/epoch-keys.js'
import { LABEL_ENVELOPE } from '../../src/protocol/labels.js'
import { MAX_ENVELOPE_BYTES } from '../../src/protocol/mailbox-limits.js'
import { portableNatives } from '../../src/protocol/portable.js'
import {
  claimToWire,
  openingToWire,
  runToWire,
  stretchToWire,
  targetToWire,
} from '../../src/protocol/wire.js'
import { change, makeKeys, TestLog } from '../support/logs.js'
import { seeded } from '../support/random.js'

const random = seeded(31)
const natives = nodeNatives
const practice = random.bytes(32)
const epochKey = random.bytes(32)
const keysOf = (of = practice, number = 1, key = epochKey) => envelopeKeys({ practice: of, number, key })
const keys = keysOf()
const secret = random.bytes(32)
const sender = { ed: edPublicKey(secret), secret }
const rosterHead = random.bytes(32)
const log = new TestLog(practice, makeKeys(random), random).add(
  change(),
  change({ payload: random.bytes(300) }),
)
const claim = claimToWire(log.claim())
const opening = openingToWire(log.opening)

const bodies: Record<EnvelopeKind, LetterBody> = {
  changes: { $case: 'changes', value: { openings: [opening], runs: [runToWire(log.run())] } },
  states: {
    $case: 'states',
    value: {
      set: random.bytes(16),
      index: 3,
      last: true,
      target: [targetToWire(log.target())],
      claims: [claimToWire(log.claim())],
      openings: [opening],
      items: [
        {
          key: random.bytes(16),
          caseId: 'a1',
          generation: 1,
          erased: 0,
          touched: [{ log: claim.log, seq: 2 }],
          parts: [random.bytes(40)],
          parked: [{ log: claim.log, seq: 2, payload: random.bytes(5) }],
          row: random.bytes(9),
          clocks: [{ client: 2 ** 48, clock: 7 }],
          more: true,
        },
      ],
      stretches: [stretchToWire({ log: log.id, from: 0, checks: random.bytes(16) })],
      missing: [random.bytes(16)],
      answers: random.bytes(16),
    },
  },
  word: {
    $case: 'word',
    value: {
      statement: {
        device: sender.ed,
        log: claim.log,
        counter: 9,
        frontier: [claim],
        signature: random.bytes(64),
        unusable: [random.bytes(16)],
      },
      openings: [opening],
      cuts: [claim],
      ladder: [claim],
      left: [{ recipient: random.bytes(32), frontier: [{ ...claim, check: new Uint8Array(0) }], counter: 3 }],
      incarnation: random.bytes(16),
      newer: [],
      asking: { id: random.bytes(16), wanted: [random.bytes(16)], heard: [random.bytes(32)] },
    },
  },
}
const kinds = Object.keys(bodies) as EnvelopeKind[]

interface Sealing {
  body: LetterBody
  practice: Uint8Array
  keys: ReturnType<typeof keysOf>
  id: Uint8Array
  sender: typeof sender
}

function seal(given: Partial<Sealing> = {}): Uint8Array {
  return sealEnvelope({
    natives,
    random: random.bytes,
    practice,
    keys,
    id: new Uint8Array(16).fill(7),
    sender,
    rosterHead,
    body: bodies.changes,
    ...given,
  })
}

const text = (at: number) => new TextEncoder().encode(`the note number ${at}`)
const openIt = (envelope: Uint8Array, of = practice, by = keys) => openEnvelope(natives, of, by, envelope)
const flipped = (bytes: Uint8Array, bit: number) =>
  bytes.map((byte, at) => (at === bit >> 3 ? byte ^ (1 << (bit & 7)) : byte))

/** The smallest letter of each kind. */
const small: [EnvelopeKind, LetterBody][] = [
  ['changes', { $case: 'changes', value: { openings: [], runs: [] } }],
  [
    'states',
    {
      $case: 'states',
      value: {
        set: random.bytes(16),
        index: 0,
        last: false,
        target: [],
        claims: [],
        openings: [],
        items: [],
        stretches: [],
        missing: [],
        answers: new Uint8Array(0),
      },
    },
  ],
  [
    'word',
    {
      $case: 'word',
      value: {
        statement: undefined,
        openings: [],
        cuts: [],
        ladder: [],
        left: [],
        incarnation: random.bytes(16),
        newer: [],
        asking: undefined,
      },
    },
  ],
]

describe('an envelope', () => {
  test.each(kinds)('of %s comes back as it went, with sender, roster head and id', (kind) => {
    const id = random.bytes(16)
    const envelope = seal({ body: bodies[kind], id })
    expect(openIt(envelope)).toEqual({ id, sender: sender.ed, rosterHead, body: bodies[kind] })
    expect(envelopeHeader(envelope)).toEqual({ kind, keyId: keys.keyId, id })
  })

  test.each(kinds)('of %s opens with the portable code as with the native one', (kind) => {
    const envelope = seal({ body: bodies[kind] })
    expect(openEnvelope(portableNatives, practice, keys, envelope)).toEqual(openIt(envelope))
    expect(openEnvelope(portableNatives, practice, keys, flipped(envelope, 2000))).toBeUndefined()
  })

  test('shows no byte of its letter, and is sealed differently each time', () => {
    const [first, second] = [seal(), seal()]
    expect(toHex(first)).not.toContain(toHex(sender.ed))
    expect(toHex(first)).not.toContain(log.id)
    expect(equalBytes(first.subarray(34), second.subarray(34))).toBe(false)
  })

  test.each(small)('[V1] of %s is refused with any single bit of any field flipped', (_kind, body) => {
    const envelope = seal({ body })
    expect(envelope).toHaveLength(2 + 16 + 16 + 24 + MIN_PLAINTEXT_BYTES + 16)
    expect(openIt(envelope)).toBeDefined()
    const opened: number[] = []
    for (let bit = 0; bit < envelope.length * 8; bit++) if (openIt(flipped(envelope, bit))) opened.push(bit)
    expect(opened).toEqual([])
  })

  test.each(small)(
    '[V1] of %s is refused at every shorter length, and with anything behind it',
    (_kind, body) => {
      const envelope = seal({ body })
      for (let length = 0; length < envelope.length; length++)
        expect(openIt(envelope.subarray(0, length))).toBeUndefined()
      for (let byte = 0; byte < 256; byte++)
        expect(openIt(concat([envelope, Uint8Array.of(byte)]))).toBeUndefined()
    },
  )
})

/** What a key holder can make: any plaintext, sealed for any header. */
function sealRaw(header: Uint8Array, plaintext: Uint8Array, of = practice): Uint8Array {
  const nonce = random.bytes(24)
  const aad = concat([new TextEncoder().encode(LABEL_ENVELOPE), of, header])
  return concat([header, nonce, natives.seal(keys.sealKey, nonce, plaintext, aad)])
}
function plaintextOf(envelope: Uint8Array): Uint8Array {
  const aad = concat([new TextEncoder().encode(LABEL_ENVELOPE), practice, envelope.subarray(0, 34)])
  return natives.open(keys.sealKey, envelope.subarray(34, 58), envelope.subarray(58), aad)!
}

/** The same with a letter in any coded form, signed as it stands; of another version, or padded to another size. */
function sealCoded(
  kind: EnvelopeKind,
  coded: Uint8Array,
  { version = 1, keyId = keys.keyId, size = padmeBytes(4 + coded.length + 64) } = {},
): Uint8Array {
  const code = { changes: 1, states: 2, word: 3 }[kind]
  const header = concat([Uint8Array.of(version, code), keyId, new Uint8Array(16)])
  const label = new TextEncoder().encode('kartoteka/1 letter')
  const signature = natives.sign(secret, concat([label, practice, header, natives.sha256(coded)]))
  const plaintext = concat([u32(coded.length), coded, signature])
  return sealRaw(header, concat([plaintext, new Uint8Array(size - plaintext.length)]))
}
const asIs = (letter: Uint8Array) => concat([Uint8Array.of(0), letter])
const deflated = (letter: Uint8Array) => concat([Uint8Array.of(1), natives.deflate(letter)])

describe('a device that holds the key', () => {
  test('[V2] can change no bit of a letter, its signature, length or padding', () => {
    for (const [, body] of small) {
      const envelope = seal({ body })
      const header = envelope.subarray(0, 34)
      const plaintext = plaintextOf(envelope)
      expect(openIt(sealRaw(header, plaintext))).toEqual(openIt(envelope))
      const opened: number[] = []
      for (let bit = 0; bit < plaintext.length * 8; bit++)
        if (openIt(sealRaw(header, flipped(plaintext, bit)))) opened.push(bit)
      expect(opened).toEqual([])
    }
  })

  test('[V2] can put no signed letter under another id, kind, practice or name', () => {
    const envelope = seal()
    const plaintext = plaintextOf(envelope)
    const header = envelope.subarray(0, 34)
    for (let bit = 0; bit < 34 * 8; bit++)
      expect(openIt(sealRaw(flipped(header, bit), plaintext))).toBeUndefined()
    const other = random.bytes(32)
    expect(openIt(sealRaw(header, plaintext, other), other)).toBeUndefined()
    const imposter = { ed: edPublicKey(random.bytes(32)), secret }
    expect(openIt(seal({ sender: imposter }))).toBeUndefined()
  })

  test('[V2] is not believed with a sender of another length, a letter of another kind, or none', () => {
    for (const length of [0, 31, 33]) {
      const ed = new Uint8Array(length).fill(3)
      expect(openIt(seal({ sender: { ed, secret } }))).toBeUndefined()
    }
    const envelope = seal()
    const header = Uint8Array.from(envelope.subarray(0, 34))
    header[1] = 3
    expect(openIt(sealRaw(header, plaintextOf(envelope)))).toBeUndefined()
    const empty = Letter.encode({ sender: sender.ed, rosterHead, body: undefined }).finish()
    expect(openIt(sealCoded('changes', asIs(empty)))).toBeUndefined()
  })

  test('[V2] is not believed with a key of another length, whatever the signature is held to be', () => {
    const credulous = { ...natives, verify: () => true }
    for (const [length, isOpened] of [
      [31, false],
      [32, true],
      [33, false],
    ] as const) {
      const envelope = seal({ sender: { ed: new Uint8Array(length).fill(3), secret } })
      expect(openEnvelope(credulous, practice, keys, envelope) !== undefined).toBe(isOpened)
    }
  })

  test('[V2] is not believed where its letter leaves no room for the signature', () => {
    const credulous = { ...natives, verify: () => true }
    const letter = Letter.encode({ sender: sender.ed, rosterHead, body: small[0]![1] }).finish()
    /** A field that is passed over fills what is left. */
    const filled = (size: number) => {
      const length = size - letter.length - 4
      return asIs(
        concat([letter, Uint8Array.of(0xfa, 1, (length & 127) | 128, length >> 7), new Uint8Array(length)]),
      )
    }
    const opens = (room: number) => {
      const coded = filled(MIN_PLAINTEXT_BYTES - 4 - room - 1)
      const plaintext = concat([u32(coded.length), coded, new Uint8Array(room)])
      return openEnvelope(credulous, practice, keys, sealRaw(seal().subarray(0, 34), plaintext)) !== undefined
    }
    expect([64, 63, 0].map(opens)).toEqual([true, false, false])
  })

  test('[V1] is refused in another version, for another key, or smaller than any, though all is signed and sealed', () => {
    const letter = Letter.encode({ sender: sender.ed, rosterHead, body: bodies.word }).finish()
    const tiny = Letter.encode({ sender: sender.ed, rosterHead, body: small[0]![1] }).finish()
    expect(openIt(sealCoded('word', asIs(letter)))).toBeDefined()
    for (const version of [0, 2, 255])
      expect(openIt(sealCoded('word', asIs(letter), { version }))).toBeUndefined()
    expect(openIt(sealCoded('word', asIs(letter), { keyId: random.bytes(16) }))).toBeUndefined()
    const sized = (size: number) => openIt(sealCoded('changes', asIs(tiny), { size }))
    expect(sized(MIN_PLAINTEXT_BYTES)).toBeDefined()
    expect(sized(MIN_PLAINTEXT_BYTES - 1)).toBeUndefined()
  })

  test('[V2] is refused with lengths that lead nowhere and bytes that are no letter', () => {
    const header = seal().subarray(0, 34)
    for (const length of [0, 444, 445, 508, 509, 2 ** 31, 2 ** 32 - 1])
      expect(openIt(sealRaw(header, concat([u32(length), random.bytes(508)])))).toBeUndefined()
    expect(openIt(sealCoded('changes', asIs(new Uint8Array(20).fill(0xff))))).toBeUndefined()
    expect(openIt(sealRaw(header, new Uint8Array(MIN_PLAINTEXT_BYTES - 1)))).toBeUndefined()
  })
})

test('[V1] no change of any kind to any envelope is opened: 100,000 cases', () => {
  const practices = [practice, random.bytes(32), random.bytes(32)]
  const epochs = practices.map((of) => [keysOf(of, 1), keysOf(of, 2), keysOf(of, 1, random.bytes(32))])
  const pool = practices.flatMap((of, at) =>
    epochs[at]!.flatMap((by) =>
      kinds.map((kind) => ({
        envelope: seal({ practice: of, keys: by, body: bodies[kind], id: random.bytes(16) }),
        of,
        by,
      })),
    ),
  )
  for (const { envelope, of, by } of pool) expect(openIt(envelope, of, by)).toBeDefined()
  /** Where each field begins: version, kind, key id, id, nonce, and what is sealed. */
  const fields = [0, 1, 2, 18, 34, 58]
  const change = fc.oneof(
    fc.record({
      type: fc.constant('flip' as const),
      bits: fc.array(fc.nat(), { minLength: 1, maxLength: 4 }),
    }),
    fc.record({ type: fc.constant('cut' as const), at: fc.nat(), from: fc.boolean() }),
    fc.record({
      type: fc.constant('extend' as const),
      bytes: fc.uint8Array({ minLength: 1, maxLength: 40 }),
    }),
    fc.record({ type: fc.constant('swap' as const), field: fc.nat(5), other: fc.nat() }),
    fc.record({ type: fc.constant('id' as const), id: fc.uint8Array({ minLength: 16, maxLength: 16 }) }),
    fc.record({ type: fc.constant('elsewhere' as const), other: fc.nat() }),
    fc.record({ type: fc.constant('rotate' as const), by: fc.nat() }),
  )
  let tried = 0
  fc.assert(
    fc.property(fc.nat(pool.length - 1), change, (index, what) => {
      const { envelope, of, by } = pool[index]!
      const other = 'other' in what ? pool[what.other % pool.length]! : undefined
      let changed = envelope
      let [opener, place] = [by, of]
      switch (what.type) {
        case 'flip':
          for (const bit of new Set(what.bits.map((each) => each % (envelope.length * 8))))
            changed = flipped(changed, bit)
          break
        case 'cut': {
          const at = what.at % envelope.length
          changed = what.from ? envelope.subarray(at + 1) : envelope.subarray(0, at)
          break
        }
        case 'extend':
          changed = concat([envelope, what.bytes])
          break
        case 'swap': {
          const [from, to] = [fields[what.field]!, fields[what.field + 1] ?? envelope.length]
          const end = to === envelope.length ? other!.envelope.length : to
          changed = concat([
            envelope.subarray(0, from),
            other!.envelope.subarray(from, end),
            envelope.subarray(to),
          ])
          break
        }
        case 'id':
          changed = concat([envelope.subarray(0, 18), what.id, envelope.subarray(34)])
          break
        case 'elsewhere':
          opener = other!.by
          place = other!.of
          break
        case 'rotate': {
          const at = what.by % envelope.length
          changed = concat([envelope.subarray(at), envelope.subarray(0, at)])
        }
      }
      const isSame = opener === by && place === of && equalBytes(changed, envelope)
      if (!isSame) tried++
      const opened = openIt(changed, place, opener)
      if ((opened !== undefined) !== isSame) throw new Error(`${what.type} was opened, or the same was not`)
    }),
    { seed: 15, numRuns: 110_000 },
  )
  expect(tried).toBeGreaterThanOrEqual(100_000)
})

describe('ids', () => {
  const range = (given: Partial<LogRange> = {}): LogRange => ({
    log: log.id,
    from: 3,
    fromCheck: fromHex('0102030405060708'),
    to: 9,
    toCheck: fromHex('1112131415161718'),
    ...given,
  })
  const other = range({ log: 'ff'.repeat(16) })

  test('[V3] the same ranges have the same id, whoever seals them and in whatever order', () => {
    const id = changesId(keys, [range(), other, range({ from: 9, to: 12 })], 0)
    expect(changesId(keysOf(), [range({ from: 9, to: 12 }), other, range()], 0)).toEqual(id)
    expect(id).toHaveLength(16)
  })

  test('[V3] another attempt, range, check, log, epoch or practice has another id', () => {
    const ids = [
      changesId(keys, [range()], 0),
      changesId(keys, [range()], 1),
      changesId(keys, [range(), other], 0),
      changesId(keys, [range({ from: 2 })], 0),
      changesId(keys, [range({ to: 8 })], 0),
      changesId(keys, [range({ fromCheck: new Uint8Array(8) })], 0),
      changesId(keys, [range({ toCheck: new Uint8Array(8) })], 0),
      changesId(keys, [other], 0),
      changesId(keysOf(practice, 2), [range()], 0),
      changesId(keysOf(random.bytes(32)), [range()], 0),
      changesId(keys, [], 0),
      statesId(keys, new Uint8Array(16), 0),
      statesId(keys, new Uint8Array(16), 1),
      statesId(keys, new Uint8Array(16).fill(1), 0),
      wordId(keys, sender.ed),
      wordId(keys, random.bytes(32)),
    ].map(toHex)
    expect(new Set(ids).size).toBe(ids.length)
  })

  test('[V3] a word and a part of states of the same bytes have different ids', () => {
    const bytes = random.bytes(16)
    expect(wordId(keys, concat([bytes, u32(5)]))).not.toEqual(statesId(keys, bytes, 5))
  })
})

describe('sizes', () => {
  /** As published: a mask of the bits that are not told. */
  function published(length: bigint): bigint {
    const e = BigInt(length.toString(2).length - 1)
    const s = BigInt(e.toString(2).length)
    const mask = (1n << (e - s)) - 1n
    return (length + mask) & ~mask
  }

  test('[V4] are those of Padmé as it was published, and 512 at least', () => {
    for (let length = 0; length <= 512; length++) expect(padmeBytes(length)).toBe(512)
    const lengths = Array.from({ length: 30_000 }, (_, at) => 513 + at)
    for (let power = 10; power < 32; power++) lengths.push(2 ** power - 1, 2 ** power, 2 ** power + 1)
    const wrong = lengths.filter((length) => BigInt(padmeBytes(length)) !== published(BigInt(length)))
    expect(wrong).toEqual([])
    expect([513, 600, 1_000, 1_025, 10_000, 1_000_000].map(padmeBytes)).toEqual([
      544, 608, 1_024, 1_088, 10_240, 1_015_808,
    ])
  })

  test('[V4] are never less than the content and at most an eighth more, in few steps', () => {
    const seen = new Set<number>()
    for (let length = 513; length <= 2 ** 20; length += 37) {
      const padded = padmeBytes(length)
      seen.add(padded)
      expect(padded >= length && padded <= length * 1.125).toBe(true)
      expect(padmeBytes(padded)).toBe(padded)
    }
    // Eleven doublings of 16 or 32 steps each.
    expect(seen.size).toBeLessThan(300)
  })

  test('[V4] of a keystroke, a date and a sentence are alike, in the first letter of a log too', () => {
    const sizes = new Set<number>()
    for (let length = 1; length <= 130; length++) {
      const caseId = toHex(random.bytes(10))
      const typed = new TestLog(practice, log.keys, random).add(
        change({ caseId, payload: random.bytes(length) }),
      )
      const runs = [{ ...runToWire(typed.run()), from: 50_000 + length }]
      for (const openings of [[], [openingToWire(typed.opening)]])
        sizes.add(seal({ body: { $case: 'changes', value: { openings, runs } } }).length)
    }
    expect(sizes.size).toBe(1)
  })
})

describe('a hostile letter', () => {
  function varint(value: number): Uint8Array {
    const bytes: number[] = []
    for (let rest = value; ; rest = Math.floor(rest / 128)) {
      bytes.push(rest > 127 ? (rest % 128) + 128 : rest)
      if (rest <= 127) return Uint8Array.from(bytes)
    }
  }

  /** `count` elements of two bytes inside the fields of `path`. */
  function elements(path: number[], count: number): Uint8Array {
    let bytes: Uint8Array = Uint8Array.from({ length: 2 * count }, (_, at) =>
      at % 2 === 0 ? path[path.length - 1]! * 8 + 2 : 0,
    )
    for (const field of path.slice(0, -1).reverse()) {
      bytes = concat([Uint8Array.of(field * 8 + 2), varint(bytes.length), bytes])
    }
    return bytes
  }

  const places: [string, EnvelopeKind, number[]][] = [
    ['openings', 'changes', [3, 1]],
    ['runs', 'changes', [3, 2]],
    ['changes', 'changes', [3, 2, 3]],
    ['targets', 'states', [4, 4]],
    ['items', 'states', [4, 6]],
    ['touched logs', 'states', [4, 6, 5]],
    ['parts', 'states', [4, 6, 6]],
    ['parked changes', 'states', [4, 6, 7]],
    ['clocks', 'states', [4, 6, 9]],
    ['stretches', 'states', [4, 7]],
    ['claims of a statement', 'word', [5, 1, 4]],
    ['unusable ids', 'word', [5, 1, 6]],
    ['cuts', 'word', [5, 3]],
    ['rungs', 'word', [5, 4]],
    ['what was left', 'word', [5, 5]],
    ['claims of what was left', 'word', [5, 5, 2]],
  ]

  const forms: [string, (letter: Uint8Array) => Uint8Array][] = [
    ['', asIs],
    [', deflated,', deflated],
  ]
  const hostile = places.flatMap(([name, kind, path]) =>
    forms.map(([form, code]) => [name, form, kind, path, code] as const),
  )

  test.each(hostile)(
    '[V5] of nothing but empty %s%s is refused within 64 MB and a second',
    (_name, _form, kind, path, code) => {
      const prefix = Letter.encode({ sender: sender.ed, rosterHead, body: undefined }).finish()
      const envelope = sealCoded(kind, code(concat([prefix, elements(path, 4_000_000)])))
      expect(envelope.length).toBeLessThan(MAX_ENVELOPE_BYTES)
      const [heap, cpu] = [process.memoryUsage().heapUsed, process.cpuUsage()]
      expect(openIt(envelope)).toBeUndefined()
      const { user, system } = process.cpuUsage(cpu)
      expect(process.memoryUsage().heapUsed - heap).toBeLessThan(64 * 1024 * 1024)
      expect((user + system) / 1e6).toBeLessThan(1)
    },
  )

  test('[V5] in another form, of a broken stream, or that inflates beyond the limit gives nothing', () => {
    const { changes } = bodies
    const letter = Letter.encode({ sender: sender.ed, rosterHead, body: changes }).finish()
    for (const form of forms) expect(openIt(sealCoded('changes', form[1](letter)))?.body).toEqual(changes)
    for (const code of [2, 3, 128, 255])
      expect(openIt(sealCoded('changes', concat([Uint8Array.of(code), letter])))).toBeUndefined()
    expect(openIt(sealCoded('changes', letter))).toBeUndefined()
    expect(openIt(sealCoded('changes', new Uint8Array(0)))).toBeUndefined()
    expect(openIt(sealCoded('changes', concat([Uint8Array.of(2), natives.deflate(letter)])))).toBeUndefined()
    expect(openIt(sealCoded('changes', deflated(letter).subarray(0, -1)))).toBeUndefined()
    expect(openIt(sealCoded('changes', concat([deflated(letter), Uint8Array.of(0)])))).toBeUndefined()
    // A field that is passed over, as long as it takes.
    const unknown = (length: number) =>
      concat([letter, Uint8Array.of(0xfa, 1), varint(length), new Uint8Array(length)])
    const room = MAX_ENVELOPE_BYTES - unknown(0).length - 3
    expect(openIt(sealCoded('changes', deflated(unknown(room))))).toBeDefined()
    expect(openIt(sealCoded('changes', deflated(unknown(room + 1))))).toBeUndefined()
  })

  test('of any bytes whatever gives a letter or nothing, and never throws', () => {
    const header = seal().subarray(0, 34)
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 180 }), (bytes) => {
        const padding = new Uint8Array(MIN_PLAINTEXT_BYTES - 4 - bytes.length)
        expect(openIt(sealRaw(header, concat([u32(bytes.length), bytes, padding])))).toBeUndefined()
      }),
      { seed: 16, numRuns: 5_000 },
    )
    for (let length = 0; length < 400; length++) {
      const bytes = random.bytes(length)
      envelopeHeader(bytes)
      expect(openIt(bytes)).toBeUndefined()
    }
  })

  test('of many changes with much in common is a fraction of them', () => {
    const many = new TestLog(practice, log.keys, random).add(
      ...Array.from({ length: 500 }, (_, at) => change({ caseId: `case-${at % 50}`, payload: text(at) })),
    )
    const runs = [runToWire(many.run())]
    const { length } = Letter.encode({
      sender: sender.ed,
      rosterHead,
      body: { $case: 'changes', value: { openings: [], runs } },
    }).finish()
    const envelope = seal({ body: { $case: 'changes', value: { openings: [], runs } } })
    expect(envelope.length).toBeLessThan(length / 2)
    expect(openIt(envelope)?.body).toEqual({ $case: 'changes', value: { openings: [], runs } })
  })

  test('one envelope of the largest size opens', () => {
    const payload = random.bytes(16 * 1024 * 1024)
    const run = { ...runToWire(log.run()), changes: [{ ...runToWire(log.run()).changes[0]!, payload }] }
    const envelope = seal({ body: { $case: 'changes', value: { openings: [], runs: [run] } } })
    expect(envelope.length).toBeLessThan(MAX_ENVELOPE_BYTES)
    expect(openIt(envelope)).toBeDefined()
  })
})
