// @ts-check
/** The generated codecs: writing them, and comparing what is there with what the schemas give. */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { root } from './build.mjs'

/**
 * Runs the generator over all schemas. Its files land below `folder` as they lie below the root.
 *
 * @param {string} folder
 * @returns {{ ok: boolean, output: string }}
 */
export function generateInto(folder) {
  const buf = join(root, 'node_modules/@bufbuild/buf/bin/buf')
  const run = spawnSync(process.execPath, [buf, 'generate', '--output', folder], {
    cwd: root,
    encoding: 'utf8',
  })
  const output = `${run.stdout ?? ''}${run.stderr ?? ''}${run.error?.message ?? ''}`
  if (run.status !== 0) return { ok: false, output }
  for (const [name, text] of codecsIn(join(folder, 'src')))
    writeFileSync(join(folder, 'src', name), lighter(text))
  return { ok: true, output }
}

/**
 * Decoding makes many small objects. An empty array of bytes costs an allocation outside the heap, so all of them
 * share one; and a 64-bit number comes as a bigint, which needs no text on its way to a number.
 *
 * @param {string} text
 */
function lighter(text) {
  const shared = text
    .replaceAll('new Uint8Array(0)', 'NO_BYTES')
    .replace('globalThis.Number(int64.toString())', 'globalThis.Number(int64)')
  if (shared === text || !shared.includes('NO_BYTES') || shared.includes('const NO_BYTES')) return shared
  return shared.replace(/(\nimport [^\n]*\n)(?!import )/, '$1\nconst NO_BYTES = new Uint8Array(0);\n')
}

/**
 * What differs from a fresh generation: changed, missing, or left behind by a schema that is gone.
 *
 * @returns {string[]} One sentence each.
 */
export function staleCodecs() {
  const folder = mkdtempSync(join(tmpdir(), 'kartoteka-generated-'))
  try {
    const { ok, output } = generateInto(folder)
    if (!ok) return [`The generator failed.\n${output}`]
    const fresh = codecsIn(join(folder, 'src'))
    const present = codecsIn(join(root, 'src'))
    return [...new Set([...fresh.keys(), ...present.keys()])].sort().flatMap((name) => {
      if (fresh.get(name) === present.get(name)) return []
      if (!fresh.has(name)) return [`src/${name} has no schema any more: remove it.`]
      return [`src/${name} is not what its schema gives: run \`npm run generate\`.`]
    })
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/**
 * @param {string} folder
 * @returns {Map<string, string>}
 */
function codecsIn(folder) {
  const names = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) =>
    name.endsWith('.gen.ts'),
  )
  return new Map(names.map((name) => [name.replaceAll('\\', '/'), readFileSync(join(folder, name), 'utf8')]))
}
