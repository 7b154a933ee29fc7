/**
 * What a suite of ours needs of vitest, in a page: it takes the place of 'vitest' in the bundle. Tests are gathered
 * here, and run one at a time when the test outside asks for them by number.
 */
import {
  ASYMMETRIC_MATCHERS_OBJECT,
  GLOBAL_EXPECT,
  JestAsymmetricMatchers,
  JestChaiExpect,
  JestExtend,
  setState,
} from '@vitest/expect'
import * as chai from 'chai'

type Work = () => unknown
interface Scope {
  name: string
  before: Work[]
  after: Work[]
}

const scopes: Scope[] = [{ name: '', before: [], after: [] }]
const tests: { name: string; run: () => Promise<void> }[] = []
const current = (): Scope => scopes[scopes.length - 1]!

function inScope(name: string, work: Work): void {
  scopes.push({ name: `${current().name}${name} > `, before: [], after: [] })
  work()
  scopes.pop()
}

function add(name: string, work: Work): void {
  const around = [...scopes]
  const run = async (): Promise<void> => {
    try {
      for (const scope of around) for (const before of scope.before) await before()
      await work()
    } finally {
      for (const scope of around.toReversed()) for (const after of scope.after) await after()
    }
  }
  tests.push({ name: current().name + name, run })
}

/** `%s` and the like stand for the row's values in turn. */
const titled = (title: string, row: readonly unknown[]): string => {
  let at = 0
  return title.replace(/%[sdij]/g, () => String(row[at++]))
}
const each =
  (register: (name: string, work: Work) => void) =>
  (rows: readonly unknown[]) =>
  (title: string, work: (...values: unknown[]) => unknown): void => {
    for (const given of rows) {
      const row = Array.isArray(given) ? given : [given]
      register(titled(title, row), () => work(...row))
    }
  }

export const describe = Object.assign(inScope, { each: each(inScope) })
/** Options, such as a longer time limit, stand before or behind the test itself. */
export const test = Object.assign(
  (name: string, ...given: unknown[]) => add(name, given.find((one) => typeof one === 'function') as Work),
  { each: each(add) },
)
export const beforeEach = (work: Work): void => void current().before.push(work)
export const afterEach = (work: Work): void => void current().after.unshift(work)

chai.use(JestExtend)
chai.use(JestChaiExpect)
chai.use(JestAsymmetricMatchers)
export const expect = Object.assign(
  (value: unknown, message?: string) => chai.expect(value, message),
  chai.expect,
  (globalThis as Record<symbol, object>)[ASYMMETRIC_MATCHERS_OBJECT],
)
Object.defineProperty(globalThis, GLOBAL_EXPECT, { value: expect, configurable: true })
setState({ assertionCalls: 0, isExpectingAssertions: false, customTesters: [] } as never, expect as never)

/** What went wrong, or nothing. */
async function run(at: number): Promise<string | undefined> {
  try {
    await tests[at]!.run()
    return undefined
  } catch (error) {
    return (error as Error).stack ?? String(error)
  }
}

Object.assign(globalThis, { suite: { names: () => tests.map(({ name }) => name), run } })
