/** The command line as real processes, over a device in memory. */
import { type ChildProcess, spawn } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'

/** What stands for it is in memory. */
const DEVICE = join('src', 'node', 'device.ts')
const root = fileURLToPath(new URL('../../', import.meta.url))
let built: string
let folder: string
let children: ChildProcess[]

/** Compiles what the command line consists of into a folder from which the packages can be found. */
beforeAll(async () => {
  const { default: ts } = await import('typescript')
  built = mkdtempSync(join(root, 'node_modules/.kartoteka-cli-'))
  const found = new Set(['src/node/cli.ts', 'test/node/fake-device.ts'])
  for (const source of found) {
    const { outputText } = ts.transpileModule(readFileSync(join(root, source), 'utf8'), {
      compilerOptions: { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2023 },
    })
    const target = join(built, source.replace(/ts$/, 'js'))
    mkdirSync(dirname(target), { recursive: true })
    writeFileSync(target, outputText)
    for (const [, name] of outputText.matchAll(/(?:from|import\()\s*'(\.[^']+)\.js'/g)) {
      const next = join(dirname(source), `${name}.ts`)
      if (next !== DEVICE) found.add(next)
    }
  }
  const fake = "export { createFakeDevice as createDevice } from '../../test/node/fake-device.js'\n"
  writeFileSync(join(built, 'src/node/device.js'), fake)
  cpSync(join(root, 'package.json'), join(built, 'package.json'))
})
afterAll(() => rmSync(built, { recursive: true }))
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'kartoteka-cli-'))
  children = []
})
afterEach(() => {
  for (const child of children) child.kill('SIGKILL')
  rmSync(folder, { recursive: true })
})

function begin(...args: string[]) {
  const child = spawn(process.execPath, [join(built, 'src/node/cli.js'), ...args], {
    env: { PATH: process.env.PATH, KARTOTEKA_DATA: join(folder, 'data') },
  })
  children.push(child)
  const seen = { out: '', err: '' }
  child.stdout.on('data', (data) => {
    seen.out += data
  })
  child.stderr.on('data', (data) => {
    seen.err += data
  })
  const done = new Promise<{ code: number | null; out: string; err: string }>((resolve) => {
    child.on('close', (code) => resolve({ code, ...seen }))
  })
  return { child, seen, done }
}
const kartoteka = (...args: string[]) => begin(...args).done

async function start() {
  const running = begin('start', '--json', '--no-window')
  for (let tries = 0; tries < 500 && !running.seen.out.endsWith('\n'); tries++) await sleep(10)
  return { ...running, ready: JSON.parse(running.seen.out) as { url: string; device: string } }
}

describe('start', () => {
  it.each(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)(
    'ends well on %s, even when it comes twice',
    async (signal) => {
      const { child, done } = await start()
      child.kill(signal)
      child.kill(signal)
      const { code, out } = await done
      expect(code).toBe(0)
      expect(out.split('\n')).toHaveLength(2)
      expect(readdirSync(join(folder, 'data'))).toEqual(['fake.json'])
    },
  )
  it('opens no debugger on SIGUSR1', async () => {
    const { child, done, seen } = await start()
    child.kill('SIGUSR1')
    await sleep(300)
    expect(child.exitCode).toBeNull()
    const debuggerPort = await new Promise<string>((resolve) => {
      const socket = connect(9229, '127.0.0.1', () => resolve('open'))
      socket.on('error', () => resolve('closed'))
    })
    expect(debuggerPort).toBe('closed')
    child.kill('SIGTERM')
    await done
    expect(seen.err).not.toContain('Debugger')
  })
  it('answers the commands of other processes, and stops when asked', async () => {
    const { done, ready } = await start()
    expect(JSON.parse((await kartoteka('status', '--json')).out).device.id).toBe(ready.device)
    const again = await kartoteka('start', '--json', '--no-window')
    expect(again.code).toBe(0)
    expect(JSON.parse(again.out)).toMatchObject({ event: 'ready', device: ready.device })
    expect((await kartoteka('stop', '--json')).code).toBe(0)
    expect((await done).code).toBe(0)
  })
})

describe('a command', () => {
  it('waits for another one', async () => {
    const outcomes = await Promise.all(['a', 'b', 'c'].map((name) => kartoteka('config', 'set', name, 'x')))
    expect(outcomes.map(({ code }) => code)).toEqual([0, 0, 0])
    expect(JSON.parse((await kartoteka('config', 'get', '--json')).out)).toMatchObject({
      a: 'x',
      b: 'x',
      c: 'x',
    })
  })
  it('prints all of a long result before it ends', async () => {
    const text = JSON.stringify({ id: 'big', text: 'x'.repeat(5_000_000) })
    writeFileSync(join(folder, 'big.jsonl'), text)
    await kartoteka('case', 'import', join(folder, 'big.jsonl'))
    const { out } = await kartoteka('case', 'show', 'big', '--json')
    expect(out === `${text}\n`).toBe(true)
  })
  it('ends with 1 when refused and 2 when misused', async () => {
    const refused = await kartoteka('case', 'show', 'none')
    expect(refused).toEqual({ code: 1, out: '', err: 'There is no case none.\n' })
    const misused = await kartoteka('nonsense')
    expect(misused.code).toBe(2)
    expect(misused.out).toBe('')
  })
  it('knows its version', async () => {
    const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
    expect((await kartoteka('--version')).out).toBe(`${version}\n`)
  })
})
