/**
 * `node scripts/protocol-examples.mjs [--write]`: what the documents say in bytes, numbers, labels and rules,
 * made by the real code from fixed keys. Without `--write` it prints the examples; with it, it puts all
 * generated parts into PROTOCOL.md and SECURITY.md. A test holds that they are current.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { root } from './lib/build.mjs'
import { labelsText, limitsText, rulesText } from './protocol-examples/tables.mjs'
import { examplesText } from './protocol-examples/text.mjs'
import { MODULES } from './protocol-examples/values.mjs'

/** Every generated part: its document, its mark, its text. */
export function generatedParts(code) {
  return [
    { document: 'PROTOCOL.md', mark: 'rules', text: rulesText() },
    { document: 'PROTOCOL.md', mark: 'limits', text: limitsText() },
    { document: 'PROTOCOL.md', mark: 'examples', text: examplesText(code) },
    { document: 'SECURITY.md', mark: 'labels', text: labelsText() },
  ]
}

const start = (mark) => `<!-- generated: ${mark} -->`
const end = (mark) => `<!-- end of generated: ${mark} -->`

/** What stands between the marks of a document now; undefined without marks. */
export function partOf(document, mark) {
  const text = readFileSync(join(root, document), 'utf8')
  const [from, to] = [text.indexOf(start(mark)), text.indexOf(end(mark))]
  return from < 0 || to < from ? undefined : text.slice(from + start(mark).length, to).trim()
}

function write(document, mark, part) {
  const path = join(root, document)
  const text = readFileSync(path, 'utf8')
  const [from, to] = [text.indexOf(start(mark)), text.indexOf(end(mark))]
  if (from < 0 || to < from) throw new Error(`${document} has no marks for ${mark}`)
  writeFileSync(path, `${text.slice(0, from + start(mark).length)}\n\n${part}\n\n${text.slice(to)}`)
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { createServer } = await import('vite')
  const server = await createServer({
    root,
    configFile: false,
    logLevel: 'error',
    server: { middlewareMode: true, watch: null, ws: false },
    appType: 'custom',
    optimizeDeps: { noDiscovery: true, include: [] },
  })
  const load = async (name) => [name, await server.ssrLoadModule(`/src/${name}.ts`)]
  const code = Object.fromEntries(await Promise.all(MODULES.map(load)))
  if (!process.argv.includes('--write')) console.log(examplesText(code))
  else for (const { document, mark, text } of generatedParts(code)) write(document, mark, text)
  await server.close()
}
