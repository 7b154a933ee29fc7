/** Every command in docs/proof.md can run in a fresh clone: it installs what it needs, and what it names is there. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { expect, it } from 'vitest'

const ROOT = new URL('../../', import.meta.url)
const read = (path: string) => readFileSync(new URL(path, ROOT), 'utf8')

/** Variables in front, `npm test` or `npm run NAME`, arguments after `--`. */
const COMMAND = /^(?:[A-Z_]+=\S+ )*npm (?:run )?(\w+)(?: -- (.+))?$/

function commandsOf(document: string): string[] {
  return [...document.matchAll(/`([^`\n]*\b(?:npm|npx|node) [^`\n]*)`/g)].map(([, text]) => text!)
}

function faultOf(command: string): string | undefined {
  const [, name, rest = ''] = COMMAND.exec(command) ?? []
  if (name === undefined) return 'is no npm script of ours'
  const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> }
  const file = /^node (scripts\/\S+\.mjs)$/.exec(scripts[name] ?? '')?.[1]
  if (file === undefined) return 'needs what a fresh clone lacks'
  if (!read(file).includes('ensureInstalled()')) return 'installs nothing'
  const paths = rest.split(' ').filter((word) => word.includes('/') && !word.startsWith('-'))
  const tests = readdirSync(new URL('test', ROOT), { recursive: true }).map((path) => `test/${path}`)
  const missing = paths.filter(
    (path) => !existsSync(new URL(path, ROOT)) && !tests.some((test) => test.startsWith(path)),
  )
  return missing.length > 0 ? `names ${missing.join(', ')}` : undefined
}

it('names commands that run in a fresh clone', () => {
  const commands = commandsOf(read('docs/proof.md'))
  expect(commands.length).toBeGreaterThan(30)
  const faults = new Map(commands.map((command) => [command, faultOf(command)]))
  expect([...faults].filter(([, fault]) => fault !== undefined)).toEqual([])
})

it.each([
  ['npx vitest run test/e2e/chaos', 'is no npm script of ours'],
  ['npm run nothing', 'needs what a fresh clone lacks'],
  ['npm test -- test/e2e/chaos test/e2e/cha0s', 'names test/e2e/cha0s'],
])('would notice %s', (command, fault) => expect(faultOf(command)).toBe(fault))
