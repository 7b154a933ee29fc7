/** What is installed: exact versions, no addresses, and nothing that must run while npm installs. */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Level } from 'level'
import { describe, expect, it } from 'vitest'
import { checkPackages } from '../../scripts/lib/package-rules.mjs'

const root = fileURLToPath(new URL('../../', import.meta.url))
const packageText = readFileSync(`${root}package.json`, 'utf8')
const lockText = readFileSync(`${root}package-lock.json`, 'utf8')

interface Lock {
  packages: Record<string, { [field: string]: unknown; hasInstallScript?: boolean; optional?: boolean }>
}

/** Both files after a change of each. */
function changed(change: (own: Record<string, Record<string, string>>, lock: Lock) => void) {
  const own = JSON.parse(packageText)
  const lock = JSON.parse(lockText)
  change(own, lock)
  return checkPackages(JSON.stringify(own), JSON.stringify(lock))
}

describe('package.json and package-lock.json', () => {
  it('are as they should be', () => {
    expect(checkPackages(packageText, lockText)).toEqual([])
  })

  it.each(['^13.6.33', '~13.6.33', '*', 'latest', '>=13', '13', '13.6', 'github:yjs/yjs', 'file:../yjs', ''])(
    'a version %j is found',
    (version) => {
      const found = changed((own) => {
        own.dependencies = { ...own.dependencies, yjs: version }
      })
      expect(found[0]).toMatch(/^package\.json asks for yjs/)
    },
  )

  it('a script that runs while npm installs is found', () => {
    const found = changed((own) => {
      own.scripts = { ...own.scripts, postinstall: 'node x.mjs' }
    })
    expect(found).toEqual([expect.stringContaining('"postinstall"')])
  })

  it('an address, a missing checksum, a lost package, and a lock of another package.json are found', () => {
    const yjs = 'node_modules/yjs'
    const address = changed((_, lock) => {
      Object.assign(lock.packages[yjs]!, { resolved: 'https://example.org/yjs.tgz' })
    })
    expect(address).toEqual([
      expect.stringContaining('where node_modules/yjs'),
      expect.stringContaining('an address'),
    ])
    const unchecked = changed((_, lock) => {
      delete lock.packages[yjs]!.integrity
    })
    expect(unchecked).toEqual([expect.stringContaining('no checksum')])
    const lost = changed((_, lock) => {
      delete lock.packages['node_modules/@biomejs/cli-darwin-arm64']
    })
    expect(lost).toEqual([expect.stringContaining('lacks @biomejs/cli-darwin-arm64')])
    const other = changed((own) => {
      own.dependencies = { ...own.dependencies, yjs: '13.6.0' }
    })
    expect(other).toEqual([expect.stringContaining("doesn't know the dependencies")])
  })
})

describe('npm ci --ignore-scripts is enough', () => {
  // Each of these ships what its script would make; the tests below run them as they are installed.
  const KNOWN = ['node_modules/@bufbuild/buf', 'node_modules/classic-level']

  it('no other package wants to run a script', () => {
    const { packages } = JSON.parse(lockText) as Lock
    const wanting = Object.keys(packages).filter(
      (path) => packages[path]!.hasInstallScript && !packages[path]!.optional,
    )
    expect(wanting.sort()).toEqual(KNOWN)
  })

  it('the store opens', async ({ onTestFinished }) => {
    const folder = mkdtempSync(join(tmpdir(), 'kartoteka-house-'))
    onTestFinished(() => rmSync(folder, { recursive: true }))
    const level = new Level(folder)
    await level.put('a', 'b')
    expect(await level.get('a')).toBe('b')
    await level.close()
  })

  it('the generator starts', () => {
    const run = spawnSync(process.execPath, [`${root}node_modules/@bufbuild/buf/bin/buf`, '--version'], {
      encoding: 'utf8',
    })
    expect(run.stdout.trim()).toMatch(/^\d+\.\d+\.\d+$/)
  })
})
