/** Everything that comes as a protobuf message: what was written comes back, and no bytes whatever do harm. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  decodeMailFrame,
  decodeMeetFrame,
  encodeMailFrame,
  encodeMeetFrame,
} from '../../src/protocol/mailbox-wire.js'
import { decodePairFrame, encodePairFrame } from '../../src/protocol/pairing-rules.js'
import { decodeFrame, encodeFrame } from '../../src/protocol/wire.js'
import * as records from '../../src/store/records.gen.js'
import { fuzz } from './fuzz.js'
import { MESSAGES, mutated } from './mutate.js'
import { corpusOf, readSchema, valuesOf } from './schema.js'

interface Codec {
  name: string
  schema: string
  message: string
  /** Takes the kind of a frame, or a whole record. */
  encode(value: unknown): Uint8Array
  /** undefined: refused. */
  decode(bytes: Uint8Array): unknown
}

const wire = (
  name: string,
  schema: string,
  message: string,
  encode: (kind: never) => Uint8Array,
  decode: Codec['decode'],
): Codec => ({ name, schema, message, encode: (kind) => encode(kind as never), decode })

const WIRES = [
  wire('sync messages', 'protocol/sync.proto', 'Frame', encodeFrame, decodeFrame),
  wire('pairing messages', 'protocol/pair.proto', 'PairFrame', encodePairFrame, decodePairFrame),
  wire('mailbox messages', 'protocol/mailbox.proto', 'MailFrame', encodeMailFrame, decodeMailFrame),
  wire('meeting messages', 'protocol/mailbox.proto', 'MeetFrame', encodeMeetFrame, decodeMeetFrame),
]

type AnyRecord = { encode(value: unknown): { finish(): Uint8Array }; decode(bytes: Uint8Array): unknown }
/** Those that stand under a key of their own. */
const ROWS = [
  ...['LogRow', 'ChangeRow', 'CaseRow', 'DoubtRow', 'TransferRow', 'StatementRow', 'MailSetRow'],
  ...['LedgerRow', 'MetaRow', 'RosterRow'],
].map((message): Codec => {
  const row = (records as unknown as Record<string, AnyRecord>)[message]!
  return {
    name: message,
    schema: 'store/records.proto',
    message,
    encode: (value) => row.encode(value).finish(),
    decode: (bytes) => {
      try {
        return row.decode(bytes)
      } catch {
        return undefined
      }
    },
  }
})

const valuesFor = ({ schema, message }: Codec) => {
  const values = valuesOf(readSchema(schema), message)
  return schema.startsWith('store') ? values : values.map((frame) => (frame as { kind: unknown }).kind)
}

/** Refused, or a value that is written and read again as the same. */
function readTwice({ encode, decode }: Codec, bytes: Uint8Array): 'value' | 'error' {
  const value = decode(bytes)
  if (value === undefined) return 'error'
  const written = encode(value)
  const again = decode(written)
  if (again === undefined) throw new Error('what it wrote itself it does not read')
  if (Buffer.compare(encode(again), written) !== 0)
    throw new Error('it reads what it wrote as something else')
  return 'value'
}

describe.each(WIRES.concat(ROWS))('$name', (codec) => {
  test('whatever is written comes back', () => {
    fc.assert(
      fc.property(valuesFor(codec), (value) => {
        expect(codec.decode(codec.encode(value))).toEqual(value)
      }),
      { seed: 42, numRuns: 500 },
    )
  })
})

describe('hostile bytes', () => {
  test.each(WIRES)('$name', async (codec) => {
    const corpus = corpusOf(valuesFor(codec), codec.encode, 43)
    const { value, error } = await fuzz({
      name: codec.name,
      quick: true,
      make: (random) => mutated(random, corpus, MESSAGES),
      run: (bytes) => readTwice(codec, bytes),
    })
    expect(Math.min(value, error)).toBeGreaterThan((value + error) / 50)
  })

  test('records of the store', async () => {
    const corpora = ROWS.map((codec) => corpusOf(valuesFor(codec), codec.encode, 44))
    const { value, error } = await fuzz({
      name: 'records',
      quick: true,
      make: (random) => {
        const at = random.int(0, ROWS.length - 1)
        return { at, bytes: mutated(random, corpora[at]!, MESSAGES) }
      },
      run: ({ at, bytes }) => readTwice(ROWS[at]!, bytes),
      show: ({ at, bytes }) => `${ROWS[at]!.name} ${Buffer.from(bytes).toString('hex')}`,
    })
    expect(Math.min(value, error)).toBeGreaterThan((value + error) / 50)
  })
})
