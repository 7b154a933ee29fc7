/** From nothing to two devices with the same cases, by the commands that a person would type. */
import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import {
  afterwards,
  begin,
  exported,
  kartoteka,
  ok,
  pinFile,
  run,
  startDevice,
  tempFile,
  tempFolder,
  until,
} from '../support/processes.js'
import { workloadLines } from '../support/workload.js'

interface VerifyReport {
  identical: boolean
  devices: { id: string; reached: boolean; differs: string[] }[]
}

it('creates, invites, joins by address, and holds 1,000 full cases byte for byte on both devices', async () => {
  const [desk, laptop] = await Promise.all([startDevice(), startDevice()])
  const create = ['practice', 'create', '--name', 'Gabinet', '--device', 'Desk', '--pin-file', pinFile()]
  const made = await desk.ok<{ practice: string; device: string }>(...create)
  expect(made.device).toBe(desk.id)
  const lines = workloadLines(1000, 5, 'full')
  const file = tempFile('cases.jsonl', lines)
  expect(await desk.ok('case', 'import', file)).toEqual({ added: 1000, merged: 0, unchanged: 0, errors: [] })

  const invite = await desk.ok<{ triesLeft: number }>('device', 'invite', '--pin-file', pinFile(), '--yes')
  expect(invite.triesLeft).toBe(5)
  const joining = [
    'practice',
    'join',
    '--address',
    desk.address,
    '--device',
    'Laptop',
    '--pin-file',
    pinFile(),
  ]
  expect(await laptop.ok(...joining)).toEqual({ practice: made.practice, device: laptop.id })
  await laptop.ok('status', '--wait', 'synced')
  await desk.ok('status', '--wait', 'synced')

  const text = await exportedFrom(laptop.folder)
  expect(text === (await exportedFrom(desk.folder))).toBe(true)
  expect(sortedIds(text)).toEqual(sortedIds(lines))
  expect(contents(text)).toEqual(contents(lines))
  for (const [device, other] of [
    [desk, laptop],
    [laptop, desk],
  ] as const)
    expect(await device.ok<VerifyReport>('verify')).toEqual({
      identical: true,
      devices: [{ id: other.id, reached: true, differs: [] }],
    })
  const devices = await desk.ok<{ name: string; upToDate: boolean; behind: number }[]>('device', 'list')
  expect(devices.map(({ name, upToDate, behind }) => [name, upToDate, behind])).toEqual([
    ['Desk', true, 0],
    ['Laptop', true, 0],
  ])
  // Only its owner reads what lies in a folder.
  for (const device of [desk, laptop]) {
    expect(statSync(device.folder).mode & 0o077).toBe(0)
    for (const name of readdirSync(device.folder))
      expect(`${name} ${statSync(join(device.folder, name)).mode & 0o077}`).toBe(`${name} 0`)
  }
})

it('joins by the invitation and by the code alone where an address is given', async () => {
  const desk = await startDevice()
  const laptop = await startDevice()
  await desk.ok('practice', 'create', '--name', 'Gabinet', '--device', 'Desk')
  const { code, invitation } = await desk.ok<{ code: string; invitation: string }>(
    ...['device', 'invite', '--pin-file', pinFile(), '--yes'],
  )
  expect(invitation).toContain(code)
  expect(code).toMatch(/^[0-9A-Z]{6}-[0-9A-Z]{6}-[0-9A-Z]{6}$/)
  // In any case, with or without hyphens, and one line break is no part of the PIN.
  const typed = code.toLowerCase().replaceAll('-', '')
  await laptop.ok(
    ...['practice', 'join', typed, '--address', desk.address],
    ...['--device', 'Laptop', '--pin-file', tempFile('pin', `${readFileSync(pinFile(), 'utf8')}\n`)],
  )
  expect((await desk.ok<{ code: string }>('practice', 'code')).code).toBe(code)
  expect((await laptop.ok<{ code: string }>('practice', 'code')).code).toBe(code)
})

it('joins and syncs by what the local network says alone: no address, no code', async () => {
  const [one, two] = localNetwork()
  const desk = await startDevice({ listen: null, lan: true, ...one })
  const laptop = await startDevice({ listen: null, lan: true, ...two })
  await desk.ok('practice', 'create', '--name', 'Gabinet', '--device', 'Desk')
  await desk.ok('case', 'import', tempFile('cases.jsonl', workloadLines(20)))
  await desk.ok('device', 'invite', '--pin-file', pinFile(), '--yes')
  await laptop.ok('practice', 'join', '--device', 'Laptop', '--pin-file', pinFile())
  await laptop.ok('status', '--wait', 'synced')
  expect(await exported(laptop)).toBe(await exported(desk))
  const devices = await laptop.ok<{ devices: { name: string; path: string }[] }>('status')
  expect(devices.devices.find(({ name }) => name === 'Desk')?.path).toBe('lan')
})

it('does everything but networking without a running device, and waits for another command', async () => {
  const folder = join(tempFolder(), 'data')
  await ok(folder, ['practice', 'create', '--name', 'Gabinet', '--device', 'Desk'])
  await ok(folder, ['case', 'import', tempFile('cases.jsonl', workloadLines(10))])
  const names = ['Anna', 'Bea', 'Cyd']
  const made = await Promise.all(
    names.map((firstName) =>
      ok<{ id: string }>(folder, ['case', 'new', '--json-file', '-'], {
        stdin: JSON.stringify({ patient: { firstName } }),
      }),
    ),
  )
  expect(new Set(made.map(({ id }) => id)).size).toBe(3)
  const list = await ok<{ name: string }[]>(folder, ['case', 'list'])
  expect(list).toHaveLength(13)
  expect(existsSync(join(folder, 'link.json'))).toBe(false)
})

it('keeps an invitation open without a running device until it is used, and serves the first sync', async () => {
  const folder = join(tempFolder(), 'data')
  await ok(folder, ['practice', 'create', '--name', 'Gabinet', '--device', 'Desk'])
  await ok(folder, ['case', 'import', tempFile('cases.jsonl', workloadLines(50))])
  const port = await freePort()
  await ok(folder, ['config', 'set', 'listen', `/ip4/127.0.0.1/tcp/${port}`])
  await ok(folder, ['config', 'set', 'lan', 'false'])
  const invite = begin(['device', 'invite', '--pin-file', pinFile(), '--yes', '--data', folder, '--json'])
  await until(() => invite.seen.stdout.includes('\n'))
  const laptop = await startDevice()
  const address = `/ip4/127.0.0.1/tcp/${port}`
  await laptop.ok('practice', 'join', '--address', address, '--device', 'Laptop', '--pin-file', pinFile())
  expect((await invite.ended).code).toBe(0)
  expect(await exportedFrom(laptop.folder)).toBe(await exportedFrom(folder))
  const devices = await ok<{ name: string }[]>(folder, ['device', 'list'])
  expect(devices.map(({ name }) => name)).toEqual(['Desk', 'Laptop'])
})

it('shows the running device to a second start, and hands out fresh addresses of the window', async () => {
  const desk = await startDevice()
  const again = await desk.run('start', '--no-window')
  expect(again.code).toBe(0)
  expect(again.json).toMatchObject({
    event: 'ready',
    device: desk.id,
    addresses: desk.addresses,
    data: desk.folder,
  })
  const { url } = again.json as { url: string }
  const port = new URL(desk.url).port
  const opened = await desk.ok<{ url: string }>('open', '--print')
  for (const each of [desk.url, url, opened.url]) {
    expect(each).toMatch(/^http:\/\/127\.0\.0\.1:\d+\//)
    expect(new URL(each).port).toBe(port)
  }
  expect(new Set([desk.url, url, opened.url]).size).toBe(3)
  expect((await fetch(new URL('/', desk.url))).status).toBe(200)
  await desk.stop()
  const refusal = await run(desk.folder, ['open', '--print'])
  expect(refusal.code).toBe(1)
  expect((await kartoteka(['stop', '--data', desk.folder])).stdout).toBe('Nothing was running.\n')
})

async function exportedFrom(folder: string): Promise<string> {
  const file = join(tempFolder(), 'export.jsonl')
  await ok(folder, ['case', 'export', file])
  return readFileSync(file, 'utf8')
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo
      server.close(() => resolve(port))
    })
  })
}

function sortedIds(lines: string): string[] {
  return lines
    .trimEnd()
    .split('\n')
    .map((line) => (JSON.parse(line) as { id: string }).id)
    .sort()
}

interface Notes {
  date: string
  id: string
  text: string
  marks?: [number, number, unknown][]
}

/** Cases by id in the form that an export has: records by date and id, no mark that begins or ends on a line break. */
function contents(lines: string): unknown {
  const cases = lines
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown> & { id: string; consultations: Notes[] })
  const byDate = (a: { date: string; id: string }, b: { date: string; id: string }) =>
    a.date < b.date ? -1 : a.date > b.date ? 1 : a.id < b.id ? -1 : 1
  for (const each of cases)
    for (const name of ['consultations', 'prescriptions', 'analyses'])
      (each[name] as { date: string; id: string }[] | undefined)?.sort(byDate)
  for (const notes of cases.flatMap((each) => [...each.consultations, (each.description ?? {}) as Notes]))
    if (notes.marks) notes.marks = notes.marks.map((mark) => trimmed(notes.text, mark))
  return Object.fromEntries(cases.map((each) => [each.id, each]))
}

function trimmed(text: string, [from, to, kind]: [number, number, unknown]): [number, number, unknown] {
  let [first, last] = [from, to]
  while (text[first] === '\n') first++
  while (text[last - 1] === '\n') last--
  return [first, last, kind]
}

/**
 * Two network namespaces joined by a cable, so that nobody else is on this network; where the system allows
 * none, this computer's own network.
 */
function localNetwork(): [{ netns?: string }, { netns?: string }] {
  const names = ['a', 'b'].map((side) => `kartoteka-${process.pid}-${side}`) as [string, string]
  const ip = (...args: string[]) => execFileSync('ip', args, { stdio: 'pipe' })
  try {
    ip('netns', 'add', names[0])
  } catch {
    return [{}, {}]
  }
  afterwards(() => ip('netns', 'delete', names[0]))
  ip('netns', 'add', names[1])
  afterwards(() => ip('netns', 'delete', names[1]))
  ip('-n', names[0], 'link', 'add', 'cable', 'type', 'veth', 'peer', 'name', 'cable', 'netns', names[1])
  for (const [at, name] of names.entries()) {
    ip('-n', name, 'address', 'add', `10.77.0.${at + 1}/24`, 'dev', 'cable')
    for (const link of ['lo', 'cable']) ip('-n', name, 'link', 'set', link, 'up')
    // As on every network that leads anywhere; without it the system knows no way for multicast.
    ip('-n', name, 'route', 'add', 'default', 'dev', 'cable')
  }
  return [{ netns: names[0] }, { netns: names[1] }]
}
