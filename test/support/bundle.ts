/** Bundles for a browser, in memory: nothing of Node may be in one. */
import { builtinModules, createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import { build, type Plugin, type Rollup } from 'vite'

const root = fileURLToPath(new URL('../../', import.meta.url))
const BUILTIN = new Set([...builtinModules, ...builtinModules.map((name) => `node:${name}`)])

/** Every import of a module of Node by whatever package, with who imports it. */
const withoutNode = (found: string[]): Plugin => ({
  name: 'without-node',
  enforce: 'pre',
  resolveId(source, importer) {
    if (BUILTIN.has(source)) found.push(`${importer?.replace(root, '')} imports ${source}`)
  },
})

/** In the tests' own helpers the natives of Node give way to the portable ones, as they would on a browser's device. */
const portable: Plugin = {
  name: 'portable-natives',
  enforce: 'pre',
  resolveId: (source) => (source.endsWith('/node/natives.js') ? '\0natives' : undefined),
  load: (id) =>
    id === '\0natives'
      ? `export { portableNatives as nodeNatives } from ${JSON.stringify(`${root}src/protocol/portable.ts`)}`
      : undefined,
}

/** @returns the script, and what of Node it would need. */
export async function bundle(
  entry: string,
  { inPage = false } = {},
): Promise<{ code: string; needs: string[] }> {
  const needs: string[] = []
  // These come with vitest; where they lie is its own affair.
  const ofVitest = createRequire(createRequire(import.meta.url).resolve('vitest/package.json'))
  const ofExpect = createRequire(ofVitest.resolve('@vitest/expect'))
  const alias = {
    vitest: `${root}test/browser/in-page.ts`,
    '@vitest/expect': ofVitest.resolve('@vitest/expect'),
    chai: ofExpect.resolve('chai'),
    // abstract-level asks for Node's; in a browser the package of that name takes its place.
    events: `${root}node_modules/events/events.js`,
  }
  const built = (await build({
    root,
    configFile: false,
    logLevel: 'silent',
    plugins: [withoutNode(needs), ...(inPage ? [portable] : [])],
    ...(inPage ? { resolve: { alias } } : {}),
    build: {
      write: false,
      minify: false,
      target: 'es2022',
      rollupOptions: { input: entry, preserveEntrySignatures: 'strict', output: { format: 'es' } },
    },
  })) as Rollup.RollupOutput
  return { code: built.output.map((part) => ('code' in part ? part.code : '')).join('\n'), needs }
}
