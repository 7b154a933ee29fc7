/**
 * What V8 makes of the program's files when it has run once, kept beside them: a device starts in a temporary folder,
 * a case is read over its link as a window would, and all that was compiled for that is written down. Without it the
 * program only starts more slowly.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { connectLink } from '../../dist/src/node/link-client.js'
import { program } from './build.mjs'

const POLL_MS = 20
const LONGEST_MS = 60_000

const require = createRequire(import.meta.url)
const data = mkdtempSync(join(tmpdir(), 'kartoteka-build-'))
const args = ['--no-window', '--no-lan', '--listen', '/ip4/127.0.0.1/tcp/0', '--data', data, '--json']
process.argv.splice(1, process.argv.length, program, 'start', ...args)
// Its line of output is nobody's business.
process.stdout.write = (_text, done) => typeof done === 'function' && done()
// Flags that change while it runs would make what is written unfit for a start without them.
require('node:v8').setFlagsFromString = (flag) => flag.includes('semi-space') || setFlagsFromString(flag)
setTimeout(() => process.exit(1), LONGEST_MS).unref()

const { scripts } = require(program)
process.once('exit', () => {
  for (const [name, script] of scripts)
    writeFileSync(`${join(dirname(program), name)}.cache`, script.createCachedData())
  rmSync(data, { recursive: true, force: true })
})

let link
while (!link) {
  link = await connectLink(data)
  await sleep(POLL_MS)
}
const { client } = link
await client.practice.create({ name: 'Practice', device: 'Device', pin: 'tulipan-7' })
const { id } = await client.cases.create({ json: '{"consultations":[{"id":"c0","text":"Text"}]}' })
await client.cases.show({ id })
await client.cases.list({})
await client.status()
await client.stop()
