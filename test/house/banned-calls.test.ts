/** The core takes time, chance and the outside world from its caller, and the protocol never waits. */
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { checkAmbientCalls, readSources } from '../../scripts/lib/source-rules.mjs'

const planted = (file: string, text: string) =>
  checkAmbientCalls(new Map([[file, `// A first line.\n${text}\n`]])).map(({ line }) => line)

it('src/protocol, src/cases and src/store call nothing of the world around them', () => {
  const found = checkAmbientCalls(readSources(fileURLToPath(new URL('../../', import.meta.url))))
  expect(found.map(({ file, line, sentence }) => `${file}:${line} ${sentence}`)).toEqual([])
})

const EVERYWHERE = [
  'const t = Date.now()',
  'const t = new Date()',
  'const t = new Date',
  'const t = Date()',
  'const r = Math.random()',
  'const { random } = Math\nconst r = Math.random',
  'setTimeout(f, 1)',
  'const arm = setTimeout',
  'setInterval(f, 1)',
  'setImmediate(f)',
  'queueMicrotask(f)',
  'crypto.getRandomValues(bytes)',
  'globalThis.crypto.getRandomValues(bytes)',
  'const g = globalThis',
  'process.exit(1)',
  'const { env } = process',
  'const box = { process }',
  'const b = Buffer.from([1])',
  'const t = performance.now()',
  "console.log('x')",
  "fetch('x')",
  'const k = ed25519.utils.randomSecretKey()',
  'const k = ed25519.keygen()',
  "import { randomBytes } from '@noble/hashes/utils.js'",
  "import { managedNonce as m } from '@noble/ciphers/utils.js'",
]
const PROTOCOL = [
  'async function f() {}',
  'const f = async () => 1',
  'class A { async f() {} }',
  'const x = await y',
  'for await (const x of y) f(x)',
  'const p = Promise.resolve()',
  'function f(): Promise<void> {}',
  'const doc = new Y.Doc()',
  "import { Doc } from 'yjs'\nconst doc = new Doc()",
]

describe('a planted call is found', () => {
  it.each(EVERYWHERE)('%s', (text) => {
    for (const room of ['protocol', 'cases', 'store'])
      expect(planted(`src/${room}/planted.ts`, text)).not.toEqual([])
  })

  it.each(PROTOCOL)('in src/protocol: %s', (text) => {
    expect(planted('src/protocol/planted.ts', text)).not.toEqual([])
    expect(planted('src/store/planted.ts', text)).toEqual([])
  })

  it('on its line', () => {
    expect(planted('src/protocol/planted.ts', 'const a = 1\nconst t = Date.now()')).toEqual([3])
  })
})

describe('what is allowed', () => {
  it.each([
    'const t = new Date(ms)',
    'machine.process(frame)',
    'const shape = { process: 1, crypto: 2 }',
    'interface Natives { process(): void }',
    'type Bytes = Uint8Array | Buffer',
    'const words = "Date.now() and Math.random()"',
    '// setTimeout(f, 1)',
    'throw new globalThis.Error("bad")',
    'const biggest = globalThis.Number.MAX_SAFE_INTEGER',
    'const pakeShare = (randomBytes: Uint8Array) => randomBytes.length',
  ])('%s', (text) => {
    expect(planted('src/protocol/planted.ts', text)).toEqual([])
  })

  it('the shells may do all of it', () => {
    expect(planted('src/node/planted.ts', EVERYWHERE.join('\n'))).toEqual([])
  })
})
