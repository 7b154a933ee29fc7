/** A process that answers one call over the codec of the local link, and what of Node it has loaded for that. */
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'
import { expect, test } from 'vitest'

const root = fileURLToPath(new URL('../../', import.meta.url))
const source = readFileSync(new URL('../../src/node/spare.ts', import.meta.url), 'utf8')
const options = { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2022 }
const spare = ts.transpileModule(source, { compilerOptions: options }).outputText
const CALL = `
const { os } = await import('@orpc/server')
const { RPCHandler } = await import('@orpc/server/websocket')
const { RPCLink } = await import('@orpc/client/websocket')
const { createORPCClient } = await import('@orpc/client')
const ends = [new EventTarget(), new EventTarget()]
ends.forEach((end, at) => {
  end.readyState = 1
  end.send = (data) => queueMicrotask(() => ends[1 - at].dispatchEvent(Object.assign(new Event('message'), { data })))
})
new RPCHandler({ echo: os.handler(({ input }) => input) }).upgrade(ends[0])
const answer = await createORPCClient(new RPCLink({ websocket: ends[1] })).echo({ id: 'one' })
const hasClient = process.moduleLoadList.some((name) => name.endsWith('undici/undici'))
console.log(JSON.stringify({ answer, hasClient }))
process.exit(0)
`
const run = (code: string): unknown =>
  JSON.parse(
    execFileSync(process.execPath, ['--input-type=module', '-e', code], { cwd: root, encoding: 'utf8' }),
  )

test('the local link is answered without Node’s HTTP client, which forms would take', () => {
  expect(run(`${spare}\nspareForms()\n${CALL}`)).toEqual({ answer: { id: 'one' }, hasClient: false })
})
