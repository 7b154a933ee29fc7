/** The dependency rule of ARCHITECTURE.md over the real imports, and a planted violation of each part of it. */
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { checkImports, importsOf, readSources } from '../../scripts/lib/source-rules.mjs'

const sources = readSources(fileURLToPath(new URL('../../', import.meta.url)))

/** What is found beyond the real sources when these files are added. */
function planted(files: Record<string, string>) {
  const before = new Set(checkImports(sources).map(({ file, sentence }) => `${file} ${sentence}`))
  return checkImports(new Map([...sources, ...Object.entries(files)]))
    .filter(({ file, sentence }) => !before.has(`${file} ${sentence}`))
    .map(({ file, line, sentence }) => `${file}:${line} ${sentence}`)
}

describe('the dependency rule', () => {
  it('holds', () => {
    const found = checkImports(sources).map(({ file, line, sentence }) => `${file}:${line} ${sentence}`)
    expect(found).toEqual([])
  })

  it('is checked over all sources', () => {
    const rooms = ['src/protocol/', 'src/cases/', 'src/store/', 'src/node/', 'relay/', 'ui/']
    for (const room of rooms) expect([...sources.keys()].some((file) => file.startsWith(room))).toBe(true)
  })
})

describe('a planted violation is found', () => {
  it.each([
    ['src/protocol/planted.ts', "import { randomBytes } from 'node:crypto'"],
    ['src/protocol/planted.ts', "import { Level } from 'level'"],
    ['src/protocol/planted.ts', "import type { AbstractLevel } from 'abstract-level'"],
    ['src/protocol/planted.ts', "import { createLibp2p } from 'libp2p'"],
    ['src/protocol/planted.ts', "import type { PeerId } from '@libp2p/interface'"],
    ['src/protocol/planted.ts', "import { inspectUpdate } from '../cases/inspect.js'"],
    ['src/protocol/planted.ts', "import type { Replica } from '../store/replica.js'"],
    ['src/protocol/planted.ts', "export { projectRow } from '../cases/project.js'"],
    ['src/protocol/planted.ts', "export const late = () => import('../node/natives.js')"],
    ['src/protocol/planted.ts', "let x: import('../node/contract.js').Contract"],
    ['src/protocol/planted.ts', "const fs = require('node:fs')"],
    ['src/cases/planted.ts', "import { toHex } from '../protocol/bytes.js'"],
    ['src/cases/planted.ts', "import { sha256 } from '@noble/hashes/sha2.js'"],
    ['src/store/planted.ts', "import { AbstractLevel } from 'abstract-level'"],
    ['src/store/planted.ts', "import { MemoryLevel } from 'memory-level'"],
    ['src/store/planted.ts', "import { readFileSync } from 'node:fs'"],
    ['src/store/planted.ts', "import { createNatives } from '../node/natives.js'"],
    ['src/node/planted.ts', "import { createLibp2p } from 'libp2p'"],
    ['src/node/device/planted.ts', "import type { Stream } from '@libp2p/interface'"],
    ['src/node/device/planted.ts', "import { multiaddr } from '@multiformats/multiaddr'"],
    ['src/node/planted.ts', "import { pipe } from 'it-pipe'"],
    ['src/node/planted.ts', "import { words } from '../../ui/words/words.js'"],
    ['src/node/host-planted.ts', "import { world } from '../../test/support/world.js'"],
    ['relay/planted.ts', "import { Replica } from '../src/store/replica.js'"],
    ['relay/planted.ts', "import { projectRow } from '../src/cases/project.js'"],
    ['relay/planted.ts', "import { createDevice } from '../src/node/device.js'"],
    ['relay/store/planted.ts', "import { mergeUpdates } from 'yjs'"],
    ['src/node/planted.ts', "import { runRelay } from '../../relay/main.js'"],
    ['src/node/cli/planted.ts', "export const late = () => import('../../../relay/main.js')"],
    ['src/node/cli/relay.ts', "import { startRelay } from '../../../relay/server.js'"],
    ['ui/planted.tsx', "import { contract } from '../src/node/contract.js'"],
    ['ui/planted.tsx', "import type { DeviceApi } from '../src/node/api.js'"],
    ['ui/planted.tsx', "import type { Roster } from '../src/protocol/roster.js'"],
    ['ui/planted.tsx', "import { readFile } from 'node:fs/promises'"],
    ['ui/planted.tsx', "import { BrowserLevel } from 'browser-level'"],
    ['ui/screens/planted.tsx', "import { createLibp2p } from 'libp2p'"],
    ['src/planted.ts', 'export const lost = true'],
  ])('%s: %s', (file, text) => {
    const found = planted({ [file]: `// A first line.\n${text}\n` })
    expect(found).not.toEqual([])
    for (const sentence of found) expect(sentence).toContain(`${file}:`)
  })

  it('a relay that opens envelopes, directly', () => {
    const found = planted({
      'relay/planted.ts': "import { openEpochKey } from '../src/protocol/epoch-keys.js'\n",
    })
    expect(found).toEqual([
      'relay/planted.ts:1 a relay must never reach a module that opens envelopes: relay/planted.ts → src/protocol/epoch-keys.ts',
    ])
  })

  it('a store, or the rules of the mailbox, that reach what opens', () => {
    const found = planted({
      'src/protocol/mailbox-roster.ts': "import { openRoster } from './roster-open.js'\n",
    })
    const chains = found.filter((sentence) => sentence.includes('must never reach'))
    for (const file of ['relay/link.ts', 'relay/core.ts', 'relay/server.ts', 'relay/main.ts'])
      expect(chains.some((sentence) => sentence.startsWith(`${file}:`))).toBe(true)
  })

  it('a relay that reaches an opener through others', () => {
    const found = planted({
      'relay/planted.ts': "import { a } from './planted-a.js'\n",
      'relay/planted-a.ts': "import { b } from '../src/protocol/planted-b.js'\n",
      'src/protocol/planted-b.ts': "import { c } from './envelope.js'\n",
      'src/protocol/envelope.ts': 'export const c = 1\n',
    })
    expect(found).toHaveLength(2)
    expect(found[0]).toContain(
      'relay/planted.ts → relay/planted-a.ts → src/protocol/planted-b.ts → src/protocol/envelope.ts',
    )
  })

  it('a circle, and not one of types', () => {
    const circle = {
      'src/protocol/planted-a.ts': "import { b } from './planted-b.js'\n",
      'src/protocol/planted-b.ts': "import { a } from './planted-a.js'\n",
    }
    expect(planted(circle)).toEqual([
      'src/protocol/planted-a.ts:1 circular import: src/protocol/planted-a.ts → src/protocol/planted-b.ts → src/protocol/planted-a.ts',
    ])
    const types = "import type { A } from './planted-a.js'\n"
    expect(planted({ ...circle, 'src/protocol/planted-b.ts': types })).toEqual([])
  })
})

describe('what the rule allows', () => {
  it.each([
    ['src/protocol/planted.ts', "import { sha256 } from '@noble/hashes/sha2.js'"],
    ['src/protocol/planted.ts', "import { mergeUpdates } from 'yjs'"],
    ['src/store/planted.ts', "import type { AbstractLevel } from 'abstract-level'"],
    ['src/store/planted.ts', "import { toHex } from '../protocol/bytes.js'"],
    ['src/node/host-planted.ts', "import { createLibp2p } from 'libp2p'"],
    ['src/node/planted.ts', "import { Replica } from '../store/replica.js'"],
    ['relay/planted.ts', "import { readRoster } from '../src/protocol/roster.js'"],
    ['relay/planted.ts', "import { createHost } from '../src/node/host.js'"],
    ['src/node/cli/relay.ts', "export const late = () => import('../../../relay/main.js')"],
    ['ui/planted.tsx', "import type { Contract } from '../src/node/contract.js'"],
    ['ui/planted.tsx', "import { projectRow } from '../src/cases/project.js'"],
  ])('%s: %s', (file, text) => {
    expect(planted({ [file]: text })).toEqual([])
  })
})

it('sees an import in every form', () => {
  const text = `
    import './a.js'
    import a from './b.js'
    import type { B } from './c.js'
    import { type C } from './d.js'
    export * from './e.js'
    const f = await import('./f.js')
    type G = import('./g.js').G
    const h = require('./h.js')
    // import './no.js'
    const text = "import './no.js'"
  `
  const found = importsOf('src/node/x.ts', new Map([['src/node/x.ts', text]]))
  expect(found.map(({ specifier, isType }) => `${specifier}${isType ? ' type' : ''}`)).toEqual([
    './a.js',
    './b.js',
    './c.js type',
    './d.js',
    './e.js',
    './f.js',
    './g.js type',
    './h.js',
  ])
})
