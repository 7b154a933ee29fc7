/** What goes wrong on one device: one clear sentence each, nothing half done, and everything before is there. */
import { execFileSync, spawnSync } from 'node:child_process'
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import type { Status } from '../../src/node/contract.js'
import { loadIdentity, renewIdentity } from '../../src/node/device/identity.js'
import {
  afterwards,
  createPractice,
  exported,
  kartoteka,
  ok,
  refusalOf,
  refused,
  run,
  startDevice,
  tempFile,
  tempFolder,
} from '../support/processes.js'
import { plainCase, workloadLines } from '../support/workload.js'
import { readMeta, withStore, writeMeta } from './stores.js'

const FULL = 'The disk is full. Everything so far is safe; editing is paused.'
const FILLER = 'filler'

/** Small file systems can be mounted. */
const canMount = process.getuid?.() === 0 && tryMount()
const orSkipped = canMount ? '' : ' (skipped: mounting takes root)'

function tryMount(): boolean {
  const folder = '/tmp/kartoteka-e2e-probe'
  mkdirSync(folder, { recursive: true })
  const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', folder]).status === 0
  if (mounted) execFileSync('umount', [folder])
  rmSync(folder, { recursive: true })
  return mounted
}

/** A file system of its own of so many megabytes. */
function smallDisk(megabytes: number): string {
  const folder = tempFolder()
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${megabytes}m`, 'tmpfs', folder])
  afterwards(() => execFileSync('umount', ['-l', folder]))
  return folder
}

function fillDisk(disk: string): void {
  spawnSync('dd', ['if=/dev/zero', `of=${join(disk, FILLER)}`, 'bs=4096'], { stdio: 'ignore' })
}

/** Writes nothing; for root too. */
function makeUnwritable(folder: string): void {
  if (canMount) {
    execFileSync('mount', ['--bind', folder, folder])
    afterwards(() => execFileSync('umount', ['-l', folder]))
    execFileSync('mount', ['-o', 'remount,bind,ro', folder])
    return
  }
  const modes = new Map(
    [folder, ...readdirSync(folder, { recursive: true }).map((name) => join(folder, String(name)))].map(
      (path) => [path, statSync(path).mode],
    ),
  )
  for (const [path, mode] of modes) chmodSync(path, mode & ~0o222)
  afterwards(() => {
    for (const [path, mode] of modes) chmodSync(path, mode)
  })
}

it("says that a port is in use, the device's or the window's", async () => {
  const server = createServer().listen(0, '127.0.0.1')
  afterwards(() => server.close())
  await new Promise((resolve) => server.once('listening', resolve))
  const { port } = server.address() as AddressInfo
  const folder = join(tempFolder(), 'data')
  const listen = ['start', '--no-window', '--no-lan', '--listen', `/ip4/127.0.0.1/tcp/${port}`]
  const device = await refused(folder, listen)
  expect(device.code).toBe('listen-failed')
  expect(device.sentence).toContain(String(port))
  expect(device.sentence).toContain('another program uses this port')
  const start = [
    'start',
    '--no-window',
    '--no-lan',
    '--listen',
    '/ip4/127.0.0.1/tcp/0',
    '--port',
    String(port),
  ]
  expect((await refused(folder, start)).sentence).toContain(String(port))
  const unusable = ['start', '--no-window', '--no-lan', '--listen', '/dns4/example.org/tcp/1']
  expect((await refused(folder, unusable)).code).toBe('listen-failed')
  // The folder is free again after each.
  await startDevice({ folder })
})

it('names the process that holds the folder, and leaves it alone', async () => {
  const desk = await startDevice()
  await createPractice(desk)
  // Another program that opens this store, without the link of a running device.
  rmSync(join(desk.folder, 'link.json'))
  const refusals = await Promise.all([
    refused(desk.folder, ['case', 'list']),
    refused(desk.folder, ['start', '--no-window', '--no-lan']),
  ])
  for (const { code, sentence } of refusals) {
    expect(code).toBe('in-use')
    expect(sentence).toBe(`These cases are already open (process ${desk.pid}). Use that window or close it.`)
  }
  expect(desk.isAlive).toBe(true)
})

it('says that the folder is not writable, be it a new one or one with cases', async () => {
  const parent = tempFolder()
  makeUnwritable(parent)
  const fresh = join(parent, 'data')
  const start = ['start', '--no-window', '--no-lan', '--listen', '/ip4/127.0.0.1/tcp/0']
  const refusal = await refused(fresh, start)
  expect(refusal.code).toBe('not-writable')
  expect(refusal.sentence).toContain(fresh)
  expect(existsSync(fresh)).toBe(false)

  const folder = join(tempFolder(), 'data')
  await ok(folder, ['practice', 'create', '--name', 'Gabinet', '--device', 'Desk'])
  makeUnwritable(folder)
  for (const args of [start, ['case', 'list'], ['case', 'new']]) {
    const { code, sentence } = await refused(folder, args)
    expect(`${args.join(' ')}: ${code}`).toBe(`${args.join(' ')}: not-writable`)
    expect(sentence).toContain(folder)
  }
})

it.skipIf(!canMount)(
  `refuses edits on a full disk, goes on reading, and has everything afterwards${orSkipped}`,
  async () => {
    const disk = smallDisk(24)
    const desk = await startDevice({ folder: join(disk, 'data') })
    await createPractice(desk)
    await desk.ok('case', 'import', tempFile('cases.jsonl', workloadLines(50)))
    const before = await exported(desk)
    fillDisk(disk)
    const { id } = plainCase(3)
    // The log of the store may have some room left in its last block.
    const stored: number[] = []
    let refusal: { code: string; sentence: string } | undefined
    for (let number = 0; number < 50 && !refusal; number++) {
      const outcome = await desk.run(
        'case',
        'set',
        id,
        `patient.phone=${number}`,
        `patient.address=${noise(8000)}${number}`,
      )
      if (outcome.code === 0) stored.push(number)
      else refusal = refusalOf(outcome)
    }
    expect(refusal).toEqual({ code: 'disk-full', sentence: FULL })
    // Paused until a restart: no later edit may be stored where an earlier one is missing.
    for (const args of [
      ['case', 'new'],
      ['case', 'delete', id],
      ['case', 'import', tempFile('more.jsonl', workloadLines(2, 9))],
    ])
      expect(await desk.refused(...args)).toEqual({ code: 'disk-full', sentence: FULL })
    const status = await desk.ok<Status>('status')
    expect(status.problems).toEqual([{ code: 'disk-full', sentence: FULL }])
    expect(status.cases.total).toBe(50)
    const phoneNow = stored.at(-1) === undefined ? plainCase(3).patient.phone : String(stored.at(-1))
    expect(await desk.ok('case', 'show', id)).toMatchObject({ patient: { phone: phoneNow } })
    const checks = await desk.ok<{ check: string; ok: boolean; fix: string }[]>('doctor')
    expect(checks.find(({ check }) => check === 'disk')).toMatchObject({
      ok: false,
      fix: expect.stringMatching(/\S/),
    })
    await desk.kill()

    // Nothing starts on a full disk, but it says why.
    const oneShot = await run(desk.folder, ['case', 'set', id, 'patient.phone=1'])
    expect(refusalOf(oneShot)).toEqual({ code: 'disk-full', sentence: FULL })

    rmSync(join(disk, FILLER))
    await desk.start()
    const after = await exported(desk)
    const without = (lines: string) => lines.split('\n').filter((line) => !line.includes(id))
    expect(without(after)).toEqual(without(before))
    expect(await desk.ok('case', 'show', id)).toMatchObject({
      patient: { phone: expect.any(String), lastName: plainCase(3).patient.lastName },
    })
    if (stored.length > 0)
      expect(
        Number((await desk.ok<{ patient: { phone: string } }>('case', 'show', id)).patient.phone),
      ).toBeGreaterThanOrEqual(stored.at(-1)!)
    await desk.ok('case', 'set', id, 'patient.phone=space again')
    expect((await desk.ok<Status>('status')).problems).toEqual([])
  },
)

it.skipIf(!canMount)(
  `leaves no half of an import or an export behind when the disk fills up in the middle${orSkipped}`,
  async () => {
    const disk = smallDisk(16)
    const folder = join(disk, 'data')
    await ok(folder, ['practice', 'create', '--name', 'Gabinet', '--device', 'Desk'])
    const outcome = await run(folder, ['case', 'import', tempFile('cases.jsonl', workloadLines(4000))])
    expect(refusalOf(outcome)).toEqual({ code: 'disk-full', sentence: FULL })
    // The same file again, once there is room: what went in stays as it is.
    execFileSync('mount', ['-o', 'remount,size=200m', disk])
    const again = await ok<{ added: number; unchanged: number; merged: number }>(folder, [
      'case',
      'import',
      tempFile('cases.jsonl', workloadLines(4000)),
    ])
    expect(again.added + again.unchanged).toBe(4000)
    expect(again.merged).toBe(0)

    const target = join(smallDisk(1), 'out.jsonl')
    const { sentence } = await refused(folder, ['case', 'export', target])
    expect(sentence).toContain('the disk is full')
    expect(existsSync(target)).toBe(false)
    expect(existsSync(`${target}.part`)).toBe(false)
  },
)

it('opens a store of a newer version for reading at most', async () => {
  const folder = join(tempFolder(), 'data')
  await ok(folder, ['practice', 'create', '--name', 'Gabinet', '--device', 'Desk'])
  await ok(folder, ['case', 'import', tempFile('cases.jsonl', workloadLines(5))])
  const file = join(tempFolder(), 'before.jsonl')
  await ok(folder, ['case', 'export', file])
  await withStore(folder, async (store) => {
    const meta = await readMeta(store)
    await writeMeta(store, { ...meta, version: meta.version + 1 })
  })
  const { id } = plainCase(2)
  for (const args of [
    ['case', 'set', id, 'patient.phone=1'],
    ['case', 'new'],
    ['case', 'delete', id],
    ['case', 'import', tempFile('more.jsonl', workloadLines(2, 9))],
  ]) {
    const { code, sentence } = await refused(folder, args)
    expect(code).toBe('newer-store')
    expect(sentence).toMatch(/^Saved by a newer version \(.+\)\. Read only until you update\.$/)
  }
  // As readable where it was moved, or is to go on under other keys.
  const elsewhere = join(tempFolder(), 'data')
  cpSync(folder, elsewhere, { recursive: true })
  expect(await ok(elsewhere, ['case', 'list'])).toHaveLength(5)
  await renewIdentity(elsewhere, await loadIdentity(elsewhere, false))
  expect(await ok(elsewhere, ['case', 'list'])).toHaveLength(5)
  const desk = await startDevice({ folder })
  expect(await desk.ok<unknown[]>('case', 'list')).toHaveLength(5)
  expect((await desk.refused('case', 'set', id, 'patient.phone=1')).code).toBe('newer-store')
  await desk.stop()
  await withStore(folder, async (store) => {
    const meta = await readMeta(store)
    expect(meta.version).toBe(2)
    await writeMeta(store, { ...meta, version: 1 })
  })
  const again = join(tempFolder(), 'after.jsonl')
  await ok(folder, ['case', 'export', again])
  expect(spawnSync('cmp', [file, again]).status).toBe(0)
})

it('imports the good lines of a file and names the broken ones', async () => {
  const folder = join(tempFolder(), 'data')
  await ok(folder, ['practice', 'create', '--name', 'Gabinet', '--device', 'Desk'])
  const lines = [
    JSON.stringify(plainCase(0)), // 1
    '{"id":"cut', // 2
    '', // 3
    '[1]', // 4
    '{"patient":{"firstName":"Anna"}}', // 5: no id
    `{"id":"${'x'.repeat(201)}"}`, // 6
    '{"id":""}', // 7
    '{"id":"a","consultations":{}}', // 8
    '{"id":"b","consultations":[{"id":"c","text":7}]}', // 9
    '{"id":"c","consultations":[{"id":"c","text":"abc","marks":[[2,9,"bold"]]}]}', // 10
    '{"id":"good"}', // 11
    '"text"', // 12
    JSON.stringify(plainCase(1)), // 13, without a line break
  ]
  const broken = Buffer.concat([
    Buffer.from(`${lines.join('\n')}\n`),
    Buffer.from([0x7b, 0xff, 0xfe, 0x7d, 0x0a]),
  ]) // 14
  const outcome = await run(folder, ['case', 'import', tempFile('cases.jsonl', broken)])
  expect(outcome.code).toBe(1)
  const report = outcome.json as {
    added: number
    merged: number
    unchanged: number
    errors: { line: number; reason: string }[]
  }
  expect(report).toMatchObject({ merged: 0, unchanged: 0 })
  for (const { reason } of report.errors) expect(reason).toMatch(/^[A-Z"].{8,}\.$/s)
  const numbers = report.errors.map(({ line }) => line)
  expect(numbers).toEqual([...numbers].sort((a, b) => a - b))
  expect(numbers).toEqual(
    [2, 4, 5, 6, 7, 8, 9, 10, 12, 14].filter((line) => line !== 5 || numbers.includes(5)),
  )
  // A case without an id gets one.
  expect(report.added).toBe(3 + (numbers.includes(5) ? 0 : 1))
  const list = await ok<{ id: string }[]>(folder, ['case', 'list'])
  for (const id of [plainCase(0).id, plainCase(1).id, 'good'])
    expect(list.some((row) => row.id === id)).toBe(true)
  // For people: the lines and their reasons.
  const text = await kartoteka(['case', 'import', tempFile('two.jsonl', '{\n'), '--data', folder])
  expect(text.code).toBe(1)
  expect(text.stdout).toMatch(/^Line 1: /)
  expect(text.stderr).toMatch(/1 line could not be imported\./)
  const missing = await refused(folder, ['case', 'import', '/nonexistent/file.jsonl'])
  expect(missing.sentence).toContain('there is no such file')
})

it('refuses a case above 16 MB before anything of it is stored, and keeps its neighbours', async () => {
  const folder = join(tempFolder(), 'data')
  await ok(folder, ['practice', 'create', '--name', 'Gabinet', '--device', 'Desk'])
  const huge = JSON.stringify({
    id: 'huge',
    consultations: [{ id: 'c', date: '2025-01-01', text: noise(17 * 1024 * 1024) }],
  })
  const lines = [JSON.stringify({ id: 'before' }), huge, JSON.stringify({ id: 'after' })]
  const outcome = await run(folder, ['case', 'import', tempFile('cases.jsonl', lines.join('\n'))])
  expect(outcome.code).toBe(1)
  expect(outcome.json).toMatchObject({
    added: 2,
    errors: [{ line: 2, reason: expect.stringContaining('16 MB') }],
  })
  const { sentence } = await refused(folder, ['case', 'new', '--json-file', tempFile('huge.json', huge)])
  expect(sentence).toContain('16 MB')
  const list = await ok<{ id: string }[]>(folder, ['case', 'list'])
  expect(list.map(({ id }) => id).sort()).toEqual(['after', 'before'])
  expect((await refused(folder, ['case', 'show', 'huge'])).code).toBe('no-case')
  // By a merge into a case that exists, too.
  const grown = huge.replace('"huge"', '"after"')
  const merged = await run(folder, ['case', 'import', tempFile('grown.jsonl', grown)])
  expect(merged.code).toBe(1)
  expect(await ok(folder, ['case', 'show', 'after'])).not.toHaveProperty('consultations')
})

/** Text that doesn't compress to nothing. */
function noise(length: number): string {
  let state = 1
  const parts: string[] = []
  for (let at = 0; at < length; at += 8) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    parts.push(state.toString(16).padStart(8, '0'))
  }
  return parts.join('').slice(0, length)
}

it('writes nothing to a store of which the keys are damaged, and says which file', async () => {
  const folder = join(tempFolder(), 'data')
  await ok(folder, ['practice', 'create', '--name', 'Gabinet', '--device', 'Desk'])
  writeFileSync(join(folder, 'keys.json'), '{"version":1')
  const { code, sentence } = await refused(folder, ['case', 'list'])
  expect(code).toBe('keys-damaged')
  expect(sentence).toContain('keys.json')
})
