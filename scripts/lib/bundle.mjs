/**
 * The compiled command line as a few files, `dist/program/node`: a start that looks for a thousand modules on the
 * disk takes three times as long. Libraries with compiled code stay where they are. The folder lies as deep as
 * `dist/src/node`, so that the window's files are found from both. Another entry and folder may be given: the bench
 * measures devices that are bundled like the program.
 */
import { join } from 'node:path'
import { build } from 'vite'
import { root } from './build.mjs'

const [entry = 'dist/src/node/cli.js', folder = 'dist/program/node'] = process.argv.slice(2)

await build({
  root,
  configFile: false,
  logLevel: 'warn',
  ssr: { target: 'node', noExternal: true, external: ['classic-level', 'node-datachannel'] },
  build: {
    ssr: join(root, entry),
    outDir: join(root, folder),
    emptyOutDir: true,
    // All in one folder, at that depth.
    assetsDir: '',
    target: 'node20',
    minify: false,
    // Names stay, for reports of errors; comments and spaces would only be parsed.
    rolldownOptions: {
      output: { minify: { compress: false, mangle: false, codegen: { removeWhitespace: true } } },
    },
  },
})
