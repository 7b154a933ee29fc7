/** Envelopes, letters, roster entries and stored values: what was changed in any bit, or put elsewhere, is refused. */
import { expect, test } from 'vitest'
import { nodeNatives } from '../../src/node/natives.js'
import { concat, u32, utf8 } from '../../src/protocol/bytes.js'
import { Letter } from '../../src/protocol/envelope.gen.js'
import { openEnvelope, padmeBytes, sealEnvelope, statesId } from '../../src/protocol/envelope.js'
import { envelopeKeys } from '../../src/protocol/epoch-keys.js'
import { LABEL_ENVELOPE } from '../../src/protocol/labels.js'
import { applyEntries, type Roster } from '../../src/protocol/roster.js'
import { decodeEntry, encodeUnsigned } from '../../src/protocol/roster-format.js'
import { changeSettings, rotateEpoch } from '../../src/protocol/roster-write.js'
import { DamagedError, SealedDb } from '../../src/store/sealed-db.js'
import { enrol, genesis, makeDevice, must, open, writing } from '../protocol/roster-helpers.js'
import { memoryDb } from '../support/databases.js'
import { type Random, seeded } from '../support/random.js'
import { ARE_MANY, expectBoth, fuzz } from './fuzz.js'
import { MESSAGES, mutated } from './mutate.js'
import { corpusOf, readSchema, valuesOf } from './schema.js'

const random = seeded(71)
const bytes = (length: number) => random.bytes(length)
const devices = ['a', 'b', 'c'].map((name) => makeDevice(bytes, name))
const [first, second, third] = devices as [(typeof devices)[0], (typeof devices)[0], (typeof devices)[0]]

/** A practice with some history. */
function history(): Roster {
  let roster = enrol(bytes, genesis(bytes, first), first, second)
  roster = must(changeSettings(writing(bytes, roster, second), { practiceName: 'p' })).roster
  roster = must(rotateEpoch(writing(bytes, roster, first))).roster
  return enrol(bytes, roster, second, third)
}
const roster = history()
const practice = roster.practiceId
const keysOf = (each: Roster, number: number) =>
  envelopeKeys({ practice: each.practiceId, number, key: open(each, first).epochKeys.get(number)! })
const keys = keysOf(roster, 2)

const letters = valuesOf(readSchema('protocol/envelope.proto'), 'Letter')
const sealed = (corpusOf(letters, (letter) => Letter.encode(letter as Letter).finish(), 72) as Uint8Array[])
  .slice(0, 60)
  .map((letter, at) =>
    sealEnvelope({
      ...{ natives: nodeNatives, random: bytes, practice, keys, rosterHead: roster.head },
      id: statesId(keys, practice.slice(0, 16), at),
      sender: { ed: first.ed, secret: first.edSecret },
      body: Letter.decode(letter).body!,
    }),
  )

test('envelopes that were flipped, cut, joined or put elsewhere, and none opens', async () => {
  const others = [keysOf(roster, 1), keysOf(genesis(bytes, first), 1)]
  const tally = await fuzz({
    name: 'envelopes',
    share: 1 / 2,
    make: (each: Random) => {
      const way = each()
      const envelope = each.pick(sealed)
      const other = each.pick(sealed)
      if (way < 0.1) return { envelope, keys: each.pick(others), practice }
      if (way < 0.2) return { envelope, keys, practice: nodeNatives.sha256(practice) }
      // The head of one before the content of another; the same content under another id, key id, kind or nonce.
      const at = each.pick([1, 2, 18, 34, 58])
      if (way < 0.4) return { envelope: concat([envelope.slice(0, at), other.slice(at)]), keys, practice }
      return { envelope: mutated(each, sealed), keys, practice }
    },
    show: ({ envelope }) => Buffer.from(envelope).toString('hex'),
    run: ({ envelope, ...where }) => {
      const isOriginal = sealed.some((each) => Buffer.compare(each, envelope) === 0)
      const opened = openEnvelope(nodeNatives, where.practice, where.keys, envelope)
      const isAtHome = where.practice === practice && where.keys === keys
      if (opened && !(isOriginal && isAtHome)) throw new Error('it opens')
      if (!opened && isOriginal && isAtHome) throw new Error('the original does not open')
      return opened ? 'value' : 'error'
    },
  })
  if (ARE_MANY) expect(tally.error).toBeGreaterThan(5 * tally.value)
})

/** As a member that means ill seals whatever it likes: the padding and lengths are its own, too. */
function sealAnything(each: Random, letter: Uint8Array): Uint8Array {
  const kind = each.int(1, 3)
  const header = concat([
    Uint8Array.of(1, kind),
    keys.keyId,
    letter.slice(0, 0),
    nodeNatives.sha256(letter).slice(0, 16),
  ])
  const way = each()
  const coded =
    way < 0.45
      ? concat([Uint8Array.of(0), letter])
      : way < 0.9
        ? concat([Uint8Array.of(1), nodeNatives.deflate(letter)])
        : concat([Uint8Array.of(each.int(0, 255)), mutated(each, [nodeNatives.deflate(letter)])])
  const length = each() < 0.9 ? coded.length : each.pick([0, 1, coded.length + 64, 2 ** 31, 2 ** 32 - 1])
  const used = 4 + coded.length + 64
  const plaintext = concat([u32(length), coded, new Uint8Array(padmeBytes(used) - used + 64)])
  const nonce = each.bytes(24)
  const aad = concat([utf8(LABEL_ENVELOPE), practice, header])
  return concat([header, nonce, nodeNatives.seal(keys.sealKey, nonce, plaintext, aad)])
}

test('letters', async () => {
  const corpus = corpusOf(
    letters,
    (letter) => Letter.encode({ ...(letter as Letter), sender: first.ed }).finish(),
    73,
  )
  // Its signature holds.
  const natives = { ...nodeNatives, verify: () => true }
  const tally = await fuzz({
    name: 'letters',
    make: (each) => sealAnything(each, mutated(each, corpus, MESSAGES)),
    run: (envelope) => (openEnvelope(natives, practice, keys, envelope) ? 'value' : 'error'),
  })
  expectBoth(tally)
})

test('roster entries: only canonical ones are read, and none that was changed is taken', async () => {
  const entries = [...roster.entries, ...genesis(bytes, second).entries]
  const held = [undefined, ...[1, 2, 3, 4].map((count) => roster.entries.slice(0, count))].map((begin) =>
    begin ? must(applyEntries(nodeNatives, undefined, begin)).roster : undefined,
  )
  const known = new Set(entries.map((entry) => Buffer.from(entry).toString('hex')))
  const tally = await fuzz({
    name: 'roster entries',
    quick: true,
    make: (each) => ({
      at: each.int(0, held.length - 1),
      entry: mutated(each, entries),
      isApplied: each() < 0.2,
    }),
    show: ({ at, entry }) => `${at} ${Buffer.from(entry).toString('hex')}`,
    run: ({ at, entry, isApplied }) => {
      const decoded = decodeEntry(nodeNatives, entry)
      if (decoded && Buffer.compare(concat([encodeUnsigned(decoded), decoded.signature]), entry) !== 0)
        throw new Error('it reads what is not canonical')
      if (!isApplied) return decoded ? 'value' : 'error'
      const step = applyEntries(nodeNatives, held[at], [entry])
      const isGrown = 'roster' in step && step.roster !== held[at]
      if (isGrown && !known.has(Buffer.from(entry).toString('hex')))
        throw new Error('it takes what was changed')
      return decoded ? 'value' : 'error'
    },
  })
  expectBoth(tally)
})

test('stored values that rot or are put elsewhere are damaged, never something else', async () => {
  const db = memoryDb()
  const options = { db, natives: nodeNatives, dataKey: bytes(32), random: bytes }
  const store = new SealedDb(options)
  const rows = [0, 1, 40, 300, 3000].map((length, at) => ({
    key: Uint8Array.of(0x6e, at),
    value: bytes(length),
  }))
  await store.write(rows)
  const view = { keyEncoding: 'view', valueEncoding: 'view' } as const
  const stored = await Promise.all(rows.map(({ key }) => db.get(key, view) as Promise<Uint8Array>))
  const tally = await fuzz({
    name: 'stored values',
    share: 1 / 4,
    make: (each) => ({ at: each.int(0, rows.length - 1), value: mutated(each, stored) }),
    show: ({ at, value }) => `${at} ${Buffer.from(value).toString('hex')}`,
    run: async ({ at, value }) => {
      const { key, value: written } = rows[at]!
      await db.put(key, value, view)
      try {
        const read = (await store.get(key))!
        if (Buffer.compare(read, written) !== 0) throw new Error('it reads something else')
        return 'value'
      } catch (error) {
        if (!(error instanceof DamagedError)) throw error
        return 'error'
      }
    },
  })
  expectBoth(tally, 0)
  if (ARE_MANY) expect(tally.error).toBeGreaterThan(tally.value)
})
