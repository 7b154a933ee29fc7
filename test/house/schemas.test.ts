/** The wire schemas and the record schema, pinned together with the versions that speak for them. */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { ENVELOPE_VERSION } from '../../src/protocol/envelope.js'
import { SYNC_VERSION } from '../../src/protocol/limits.js'
import { MAILBOX_VERSION } from '../../src/protocol/mailbox-limits.js'
import { PAIR_VERSION } from '../../src/protocol/pairing-rules.js'
import { STORE_VERSION } from '../../src/store/replica.js'

interface Pin {
  schema: string
  constant: string
  where: string
  version: number
  pinned: { version: number; hash: string }
}

const PINS: Pin[] = [
  {
    schema: 'src/protocol/sync.proto',
    constant: 'SYNC_VERSION',
    where: 'src/protocol/limits.ts',
    version: SYNC_VERSION,
    pinned: { version: 1, hash: 'e3393a0fd6a1277531cbba9fc03f9297' },
  },
  {
    schema: 'src/protocol/pair.proto',
    constant: 'PAIR_VERSION',
    where: 'src/protocol/pairing-rules.ts',
    version: PAIR_VERSION,
    pinned: { version: 1, hash: '964d8b824e54259cdbcedfb8a4b864f6' },
  },
  {
    schema: 'src/protocol/mailbox.proto',
    constant: 'MAILBOX_VERSION',
    where: 'src/protocol/mailbox-limits.ts',
    version: MAILBOX_VERSION,
    pinned: { version: 1, hash: 'cd95ec1926408d2baa24af39abb05392' },
  },
  {
    schema: 'src/protocol/envelope.proto',
    constant: 'ENVELOPE_VERSION',
    where: 'src/protocol/envelope.ts',
    version: ENVELOPE_VERSION,
    pinned: { version: 1, hash: '62fb4fcd12aeb8b21bd91c8576c97d43' },
  },
  {
    schema: 'src/store/records.proto',
    constant: 'STORE_VERSION',
    where: 'src/store/replica.ts',
    version: STORE_VERSION,
    pinned: { version: 1, hash: '155ffe9217f8ee795dd16a9d4bbd572e' },
  },
]

const textOf = (schema: string) => readFileSync(new URL(`../../${schema}`, import.meta.url), 'utf8')

/** Of what a schema means: comments and spacing don't count. */
function hashOf(text: string): string {
  const bare = text
    .replace(/\/\*[\s\S]*?\*\//g, ' ')
    .replace(/\/\/.*$/gm, ' ')
    .replace(/\s+/g, ' ')
    .trim()
  return createHash('sha256').update(bare).digest('hex').slice(0, 32)
}

/** What is wrong, and what to do about it; undefined when schema, version and pin agree. */
function judge({ schema, constant, where, version, pinned }: Pin, text: string): string | undefined {
  const hash = hashOf(text)
  const pin = `{ version: ${version}, hash: '${hash}' }`
  if (hash !== pinned.hash && version === pinned.version) {
    return (
      `${schema} has changed and ${constant} has not. If devices of the older form still understand everything ` +
      `(fields were only added), set its pin in test/house/schemas.test.ts to ${pin}. ` +
      `Otherwise raise ${constant} in ${where} first.`
    )
  }
  if (hash !== pinned.hash || version !== pinned.version) {
    return `${constant} in ${where} has changed: set the pin of ${schema} in test/house/schemas.test.ts to ${pin}.`
  }
  return undefined
}

describe('a schema changes only together with its pin', () => {
  it.each(PINS)('$schema, $constant', (pin) => {
    expect(judge(pin, textOf(pin.schema))).toBeUndefined()
  })
})

describe('the pin', () => {
  const text = textOf('src/protocol/sync.proto')
  const sync = { ...(PINS[0] as Pin), pinned: { version: SYNC_VERSION, hash: hashOf(text) } }

  it('notices a field that was added, renumbered or renamed', () => {
    const added = text.replace(/\n}/, '\n  bytes planted = 99;\n}')
    const renumbered = text.replace(/= 2;/, '= 98;')
    const renamed = text.replace(/ (\w+) = 1;/, ' planted = 1;')
    for (const changed of [added, renumbered, renamed]) {
      expect(changed).not.toBe(text)
      expect(judge(sync, changed)).toMatch(
        /^src\/protocol\/sync\.proto has changed and SYNC_VERSION has not\. If .* Otherwise raise/,
      )
    }
  })

  it('notices a version that was raised', () => {
    expect(judge({ ...sync, version: sync.version + 1 }, text)).toMatch(
      /^SYNC_VERSION in .* has changed: set the pin/,
    )
  })

  it('lets comments and spacing change', () => {
    expect(
      judge(sync, `// More words.\n\n${text.replaceAll(';', ' ;  /* and more */').replaceAll(' ;', ';')}`),
    ).toBeUndefined()
  })
})
