// @ts-check
/**
 * The simulator as one file that workers load: as it is, with real cases and real cryptography, or `abstract`, where
 * the modules of test/simulation/abstract/ stand for what costs most. A bundle may have one rule broken (`edits`).
 */
import { readFileSync } from 'node:fs'
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { build } from 'vite'
import { root } from './build.mjs'

/** @typedef {{ file: string, from: string, to: string }} Edit Replaces the only place of `from` in a source. */

const ABSTRACT = join(root, 'test/simulation/abstract')

/** What the abstract simulator has instead of it: a source's path → a file in test/simulation/abstract/. */
const STAND_INS = new Map([
  ['src/cases/inspect.ts', 'inspect.ts'],
  ['src/cases/project.ts', 'project.ts'],
  ['src/node/natives.ts', 'natives.ts'],
  ['src/protocol/ed25519.ts', 'ed25519.ts'],
  ['src/protocol/hkdf.ts', 'hkdf.ts'],
  ['src/protocol/hpke.ts', 'hpke.ts'],
  ['test/simulation/content.ts', 'content.ts'],
])

/**
 * Bounds of the abstract simulator. Its worlds have six small cases: with these a transfer takes several messages, a
 * set of states several letters, a log several blocks of checks, and everything can break in between.
 *
 * @type {[file: string, name: string, small: number][]}
 */
const SMALL = [
  ['src/protocol/limits.ts', 'CHUNK_BYTES', 400],
  ['src/protocol/limits.ts', 'WINDOW_BYTES', 4000],
  ['src/protocol/limits.ts', 'CHECKS_PER_STRETCH', 8],
  ['src/protocol/limits.ts', 'MAX_RUN_CHANGES', 4],
  ['src/protocol/limits.ts', 'MAX_RUN_BYTES', 400],
  ['src/protocol/limits.ts', 'MAX_FORK_POINTS', 4],
  ['src/protocol/limits.ts', 'COMPACT_PARTS', 6],
  ['src/protocol/limits.ts', 'COMPACT_TAIL_BYTES', 200],
  ['src/store/keyspace.ts', 'CHECKS_PER_BLOCK', 4],
  ['src/store/mail-out.ts', 'LETTER_BYTES', 1200],
  ['src/store/pruning.ts', 'CHANGES_AT_ONCE', 5],
]

/** @returns {import('vite').Plugin} */
function smallBounds() {
  return {
    name: 'small bounds',
    enforce: 'pre',
    transform(text, id) {
      const own = SMALL.filter(([file]) => id === join(root, file))
      if (own.length === 0) return null
      return own.reduce((now, [file, name, small]) => {
        const [line] = now.match(new RegExp(`export const ${name} = .*`)) ?? []
        if (!line) throw new Error(`${file} has no ${name}`)
        return now.replace(line, `export const ${name} = ${small}`)
      }, text)
    },
  }
}

/** @returns {import('vite').Plugin} */
function standIns() {
  return {
    name: 'stand-ins',
    enforce: 'pre',
    async resolveId(source, importer) {
      if (source === 'yjs') return join(ABSTRACT, 'yjs.ts')
      const found = await this.resolve(source, importer, { skipSelf: true })
      const instead = found && STAND_INS.get(relative(root, found.id).replaceAll('\\', '/'))
      return instead ? join(ABSTRACT, instead) : found
    },
  }
}

/**
 * @param {Edit[]} edits
 * @returns {import('vite').Plugin}
 */
function edited(edits) {
  return {
    name: 'edited',
    enforce: 'pre',
    load(id) {
      const own = edits.filter(({ file }) => id === join(root, file))
      if (own.length === 0) return null
      return own.reduce((text, edit) => editText(text, edit), readFileSync(id, 'utf8'))
    },
  }
}

/**
 * @param {string} text
 * @param {Edit} edit
 */
export function editText(text, { file, from, to }) {
  const parts = text.split(from)
  if (parts.length !== 2) throw new Error(`${file} holds ${parts.length - 1} times: ${from}`)
  return parts.join(to)
}

/**
 * @param {{ abstract?: boolean, edits?: Edit[] }} options
 * @returns {Promise<string>} the file to import
 */
export async function bundleSimulator({ abstract = false, edits = [] } = {}) {
  const outDir = await mkdtemp(join(tmpdir(), 'kartoteka-sim-'))
  await build({
    root,
    configFile: false,
    logLevel: 'error',
    plugins: [edited(edits), ...(abstract ? [smallBounds(), standIns()] : [])],
    ssr: { target: 'node', noExternal: true },
    build: {
      ssr: join(root, 'test/simulation', abstract ? 'full-sim.ts' : 'entry.ts'),
      outDir,
      emptyOutDir: true,
      target: 'node20',
      minify: false,
      rolldownOptions: { output: { entryFileNames: 'simulator.mjs' } },
    },
  })
  return join(outDir, 'simulator.mjs')
}
