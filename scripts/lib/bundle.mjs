/**
 * The compiled command line as a few files, `dist/program/node`: a start that looks for a thousand modules on the
 * disk takes three times as long. Libraries with compiled code stay where they are. The folder lies as deep as
 * `dist/src/node`, so that the window's files are found from both. `launcher.cjs` loads them.
 */
import { spawnSync } from 'node:child_process'
import { copyFileSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { build } from 'vite'
import { program, root } from './build.mjs'

const folder = join(root, 'dist/program/node')

await build({
  root,
  configFile: false,
  logLevel: 'error',
  ssr: { target: 'node', noExternal: true, external: ['classic-level', 'node-datachannel'] },
  build: {
    ssr: join(root, 'dist/src/node/cli.js'),
    outDir: folder,
    emptyOutDir: true,
    // All in one folder, at that depth.
    assetsDir: '',
    target: 'node20',
    minify: false,
    rolldownOptions: {
      output: {
        format: 'cjs',
        entryFileNames: 'main.cjs',
        chunkFileNames: '[name]-[hash].cjs',
        // Names stay, for reports of errors; comments and spaces would only be parsed.
        minify: { compress: false, mangle: false, codegen: { removeWhitespace: true } },
      },
    },
  },
})

const BEFORE = '(function(exports,require,module,__filename,__dirname){"use strict";'
/** One byte a character: the launcher needn't decode it. A pair of \u stands for one character in texts and patterns. */
const asciiOnly = (text) =>
  text.replace(/[^\0-\x7f]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
for (const name of readdirSync(folder)) {
  if (!name.endsWith('.cjs')) continue
  const path = join(folder, name)
  const text = readFileSync(path, 'utf8').replace(/^#!.*\n/, '')
  writeFileSync(path, `${BEFORE}${asciiOnly(text)}\n})`)
}

copyFileSync(join(root, 'scripts/lib/launcher.cjs'), program)
const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
writeFileSync(join(folder, 'package.json'), JSON.stringify({ type: 'commonjs', version }))
spawnSync(process.execPath, [join(root, 'scripts/lib/code-cache.mjs')], { stdio: ['ignore', 2, 2] })
