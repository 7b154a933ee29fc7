/** What scripts rely on: the JSON of every command, exit codes, and nothing else on standard output. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import {
  begin,
  createPractice,
  exported,
  imported,
  joinPractice,
  kartoteka,
  type Outcome,
  ok,
  PIN,
  pinFile,
  run,
  startDevice,
  startPair,
  synced,
  tempFile,
  tempFolder,
  until,
} from '../support/processes.js'
import { plainCase, workloadLines } from '../support/workload.js'

const text = expect.any(String)
const number = expect.any(Number)
const flag = expect.any(Boolean)

const DEVICE = {
  id: text,
  name: text,
  self: flag,
  lastSeen: expect.anything(),
  upToDate: flag,
  behind: number,
}
const STATUS = {
  practice: { id: text, name: 'Gabinet' },
  device: { id: text, name: 'Desk' },
  version: expect.stringMatching(/^\d+\.\d+\.\d+/),
  cases: { total: number, archived: number, deleted: number },
  state: 'off',
  mailbox: { configured: false, connected: false, relays: [], pendingOut: 0, pendingIn: 0 },
  store: { bytes: number },
  problems: [],
}

it('prints the documented JSON for every command, and only that', async () => {
  const [desk, laptop] = await Promise.all([startDevice(), startDevice()])
  const first = plainCase(0)
  const create = ['practice', 'create', '--name', 'Gabinet', '--device', 'Desk', '--pin-file', pinFile()]
  expect(await desk.ok(...create)).toEqual({ practice: text, device: desk.id })
  expect(await desk.ok('practice', 'code')).toEqual({ code: text, invitation: text })
  expect(await desk.ok('device', 'invite', '--pin-file', pinFile(), '--minutes', '5', '--yes')).toEqual({
    ...{ code: text, invitation: text, expiresAt: number },
    triesLeft: 5,
  })
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
  expect(await laptop.ok(...joining)).toEqual({ practice: text, device: laptop.id })
  const devices = await desk.ok<unknown[]>('device', 'list')
  expect(devices).toHaveLength(2)
  for (const device of devices)
    expect(device).toMatchObject({ ...DEVICE, collectsMail: false, removed: false })
  await desk.ok('device', 'rename', laptop.id, 'Notebook')
  await desk.ok('device', 'address', laptop.id, laptop.address)
  expect(await desk.ok('device', 'list')).toContainEqual(
    expect.objectContaining({ id: laptop.id, name: 'Notebook' }),
  )

  expect(await desk.ok('case', 'import', tempFile('a.jsonl', workloadLines(3)), '--format', 'jsonl')).toEqual(
    {
      ...{ added: 3, merged: 0, unchanged: 0 },
      errors: [],
    },
  )
  const made = await desk.ok<{ id: string }>('case', 'new')
  expect(made).toEqual({ id: text })
  const own = tempFile(
    'case.json',
    JSON.stringify({ id: 'own', patient: { lastName: 'Żak', birthDate: '1980-01-02' } }),
  )
  expect(await desk.ok('case', 'new', '--json-file', own)).toEqual({ id: 'own' })
  const add = async (kind: string, value: object) =>
    desk.ok<{ id: string }>(
      'case',
      'add',
      'own',
      kind,
      '--json-file',
      tempFile('record.json', JSON.stringify(value)),
    )
  const consultation = await add('consultation', { date: '2025-01-01', kind: 'first', text: 'ból' })
  const prescription = await add('prescription', { date: '2025-01-01', remedy: 'Sepia' })
  await add('analysis', { date: '2025-01-01', title: 'x', symptoms: [] })
  await desk.ok(
    'case',
    'set',
    'own',
    'patient.phone=+48 1=2',
    'drawer=Study',
    `prescriptions.${prescription.id}.dose=1x`,
  )
  await desk.ok('case', 'type', 'own', '--in', consultation.id, '--at', '0', '--erase', '1', '--text', 'B')
  await desk.ok('case', 'archive', 'own', made.id)
  await desk.ok('case', 'unarchive', made.id)
  await desk.ok('case', 'delete', made.id)
  const row = {
    id: 'own',
    name: expect.stringContaining('Żak'),
    birthYear: 1980,
    drawer: 'Study',
    archived: true,
    deleted: false,
  }
  const rows = await desk.ok<{ id: string }[]>('case', 'list')
  expect(rows).toHaveLength(4)
  expect(rows.find(({ id }) => id === 'own')).toMatchObject(row)
  expect(await desk.ok('case', 'list', '--drawer', 'Study')).toMatchObject([row])
  expect(await desk.ok('case', 'list', '--match', 'zak')).toMatchObject([row])
  const deleted = await desk.ok<{ id: string; deleted: boolean }[]>('case', 'list', '--deleted')
  expect(deleted).toHaveLength(5)
  expect(deleted.find(({ id }) => id === made.id)).toMatchObject({ deleted: true })
  await desk.ok('case', 'restore', made.id)
  expect(await desk.ok('case', 'show', 'own')).toEqual({
    id: 'own',
    patient: { lastName: 'Żak', birthDate: '1980-01-02', phone: '+48 1=2' },
    drawer: 'Study',
    archived: true,
    consultations: [
      expect.objectContaining({ id: consultation.id, date: '2025-01-01', kind: 'first', text: 'Ból' }),
    ],
    prescriptions: [{ id: prescription.id, date: '2025-01-01', remedy: 'Sepia', dose: '1x' }],
    analyses: [expect.objectContaining({ title: 'x', symptoms: [] })],
    ...{ deleted: false, lateEdits: false, conflicts: [], heldBy: expect.arrayContaining([desk.id]) },
  })
  await desk.ok('case', 'set', 'own', 'patient.phone=')
  expect((await desk.ok<{ patient: object }>('case', 'show', 'own')).patient).not.toHaveProperty(
    'phone',
    '+48 1=2',
  )
  const target = join(tempFolder(), 'out.jsonl')
  expect(await desk.ok('case', 'export', target, '--only', 'own', first.id)).toMatchObject({ cases: 2 })
  expect(readFileSync(target, 'utf8').trimEnd().split('\n')).toHaveLength(2)
  const hits = await desk.ok<unknown[]>('search', 'żak')
  expect(hits).toContainEqual({ id: 'own', in: text, snippet: text })

  expect(await desk.ok('sync')).toEqual({ sent: number, received: number })
  const status = await desk.ok<{ devices: object[]; transfer: unknown }>(
    'status',
    '--wait',
    'synced',
    '--timeout',
    '60',
  )
  expect(status).toMatchObject(STATUS)
  for (const device of status.devices)
    expect(device).toMatchObject({ ...DEVICE, path: text, connected: flag })
  if (status.transfer !== null) expect(status.transfer).toEqual({ done: number, of: number, bytes: number })
  expect(await desk.ok('status', '--wait', 'idle')).toMatchObject(STATUS)
  expect(await desk.ok('verify')).toEqual({
    identical: true,
    devices: [{ id: laptop.id, reached: true, differs: [] }],
  })
  for (const check of await desk.ok<unknown[]>('doctor'))
    expect(check).toEqual({ check: text, ok: true, sentence: text, fix: '' })
  for (const line of await desk.ok<unknown[]>('log')) expect(line).toMatchObject({ at: number, text })
  const settings = await desk.ok<Record<string, string>>('config', 'get')
  for (const key of [
    'lan',
    'listen',
    'language',
    'theme',
    'lockMinutes',
    'backupReminderDays',
    'attachmentsHere',
  ])
    expect(settings).toHaveProperty(key, text)
  await desk.ok('config', 'set', 'theme', 'dark')
  expect(await desk.ok('config', 'get', 'theme')).toEqual({ theme: 'dark' })
  expect(await desk.ok('open', '--print')).toEqual({
    url: expect.stringMatching(/^http:\/\/127\.0\.0\.1:\d+\//),
  })
  const start = await desk.run('start', '--no-window')
  expect(start.json).toEqual({
    event: 'ready',
    url: text,
    device: desk.id,
    addresses: [text],
    data: desk.folder,
  })
  await desk.stop()
  await synced(laptop, 30)
})

it('exits with 1 and one sentence when refused, with 2 on wrong usage', async () => {
  const { folder } = await startDevice()
  await ok(folder, ['practice', 'create', '--name', 'Gabinet', '--device', 'Desk'])
  const stdin = '{"id":"k","consultations":[{"id":"c","text":"abc"}]}'
  await ok(folder, ['case', 'new', '--json-file', '-'], { stdin })
  const refusedArgs = [
    ['case', 'show', 'none'],
    ['case', 'set', 'k', 'nonsense.path=1'],
    ['case', 'set', 'k', 'id=other'],
    ['case', 'type', 'k', '--in', 'none', '--at', '0', '--text', 'x'],
    ['case', 'type', 'k', '--in', 'c', '--at', '99', '--text', 'x'],
    ['case', 'type', 'k', '--in', 'c', '--at', '1', '--erase', '99'],
    ['case', 'add', 'k', 'consultation', '--json-file', tempFile('x.json', '[]')],
    ['case', 'new', '--json-file', '/nonexistent'],
    ['case', 'new', '--json-file', tempFile('x.json', '{"id":"k"}')],
    ['case', 'delete', 'k', 'none'],
    ['case', 'export', tempFolder()],
    ['case', 'export', join(tempFolder(), 'out.jsonl'), '--only', 'none'],
    ['config', 'set', 'theme', 'pink'],
    ['config', 'set', 'nonsense', '1'],
    ['config', 'get', 'nonsense'],
    ['device', 'rename', 'nobody', 'x'],
    ['device', 'address', 'nobody', '/ip4/1.2.3.4/tcp/1'],
    ['practice', 'join', '--device', 'x', '--pin-file', '/nonexistent'],
  ]
  const before = await ok(folder, ['case', 'show', 'k'])
  await inParallel(refusedArgs, async (args) => expectRefusal(await run(folder, args), 1, args))
  // The same for people: the sentence alone.
  await inParallel(refusedArgs.slice(0, 4), async (args) => {
    const { code, stdout, stderr } = await kartoteka([...args, '--data', folder])
    expect(`${args.join(' ')}: ${code} ${stdout}`).toBe(`${args.join(' ')}: 1 `)
    expect(stderr).toMatch(/^[^\n]+\.\n$/)
  })
  expect(await ok(folder, ['case', 'show', 'k'])).toEqual(before)
  const misused = [
    ['nonsense'],
    ['case'],
    ['case', 'nonsense'],
    ['case', 'show'],
    ['case', 'set', 'k', 'novalue'],
    ['case', 'add', 'k', 'nonsense', '--json-file', '-'],
    ['case', 'type', 'k', '--at', '0'],
    ['case', 'type', 'k', '--in', 'c', '--at', '-1'],
    ['status', '--wait', 'never'],
    ['status', '--timeout', 'long'],
    ['status', '--nonsense'],
    ['practice', 'create', '--name', 'x'],
    ['device', 'invite'],
    ['device', 'invite', '--pin-file', '-', '--minutes', '0'],
    ['start', '--port', '70000'],
  ]
  await inParallel(misused, async (args) => expectRefusal(await run(folder, args), 2, args))
  for (const args of [['--help'], ['case', '--help'], ['--version']])
    expect((await kartoteka([...args])).code).toBe(0)
})

/** As many at a time as a computer has hands for. */
async function inParallel<T>(items: T[], work: (item: T) => Promise<unknown>): Promise<void> {
  const left = [...items]
  const hand = async () => {
    for (let item = left.shift(); item !== undefined; item = left.shift()) await work(item)
  }
  await Promise.all([hand(), hand(), hand(), hand()])
}

function expectRefusal(outcome: Outcome, code: number, args: string[]): void {
  const { error } = (outcome.json ?? {}) as { error?: { code: string; sentence: string } }
  expect(`${args.join(' ')}: ${outcome.code} ${outcome.stdout}`).toBe(
    `${args.join(' ')}: ${code} ${JSON.stringify({ error })}\n`,
  )
  expect(Object.keys(error!)).toEqual(['code', 'sentence'])
  expect(outcome.stderr).toBe(`${error!.sentence}\n`)
  expect(error!.code).not.toBe('internal')
}

it('prints the normal JSON with exit 1 when time is over', async () => {
  const [desk, laptop] = await startPair()
  await synced(desk)
  process.kill(laptop.pid, 'SIGSTOP')
  try {
    await desk.ok('case', 'new')
    const outcome = await desk.run('status', '--wait', 'synced', '--timeout', '0.5')
    expect(outcome.code).toBe(1)
    expect(outcome.json).toMatchObject({ practice: { name: 'Gabinet' }, devices: expect.any(Array) })
    const { devices } = outcome.json as { devices: { id: string; upToDate: boolean; behind: number }[] }
    expect(devices.find(({ id }) => id === laptop.id)).toMatchObject({ upToDate: false, behind: 1 })
  } finally {
    process.kill(laptop.pid, 'SIGCONT')
  }
  await synced(desk)
})

it('leaves a device that does not answer out of `synced`, and shows what it lacks', async () => {
  const [desk, laptop] = await startPair()
  await synced(desk)
  await laptop.kill()
  await imported(desk, workloadLines(5))
  const status = await desk.ok<{ devices: { id: string }[] }>('status', '--wait', 'synced')
  expect(status.devices.find(({ id }) => id === laptop.id)).toMatchObject({
    connected: false,
    path: 'none',
    upToDate: false,
    behind: 5,
  })
})

it('starts without a practice, keeps its identity, and takes secrets from standard input', async () => {
  const desk = await startDevice()
  const { id } = desk
  expect(await desk.ok('status')).toMatchObject({
    practice: null,
    device: { id },
    cases: { total: 0 },
    devices: [],
  })
  expect(desk.address).toBe(`${desk.address.replace(/\/p2p\/.*/, '')}/p2p/${id}`)
  await desk.kill()
  await desk.start()
  expect(desk.id).toBe(id)
  const create = ['practice', 'create', '--name', 'Gabinet', '--device', 'Desk', '--pin-file', '-']
  await ok(desk.folder, create, { stdin: `${PIN}\n` })
  await ok(desk.folder, ['device', 'invite', '--pin-file', '-', '--yes'], { stdin: `${PIN}\r\n` })
  const laptop = await startDevice()
  const joining = ['practice', 'join', '--address', desk.address, '--device', 'Laptop', '--pin-file', '-']
  await ok(laptop.folder, joining, { stdin: PIN })
  // The folder may come from the environment, too.
  const shown = await kartoteka(['status', '--json'], { env: { KARTOTEKA_DATA: laptop.folder } })
  expect(shown.json).toMatchObject({ device: { id: laptop.id } })
})

it('answers many commands at once, each with its own', async () => {
  const desk = await startDevice()
  await createPractice(desk)
  await imported(desk, workloadLines(300))
  const ids = Array.from({ length: 300 }, (_, at) => plainCase(at).id)
  const client = await desk.link()
  const edited = ids.slice(0, 60)
  await Promise.all(edited.map((id) => client.cases.set({ id, fields: [['patient.phone', `now ${id}`]] })))
  await client.flush()
  const phones = await Promise.all(
    edited.map(
      async (id) =>
        (JSON.parse((await client.cases.show({ id })).json) as { patient: { phone: string } }).patient.phone,
    ),
  )
  expect(phones).toEqual(edited.map((id) => `now ${id}`))
  // Exports side by side don't get into each other's pages.
  const [all, some, again] = await Promise.all([
    exported(desk),
    exported(desk, ids.slice(0, 200)),
    exported(desk),
  ])
  expect(all.trimEnd().split('\n')).toHaveLength(300)
  expect(some.trimEnd().split('\n')).toHaveLength(200)
  expect(again).toBe(all)
})

it('reaches every other device of the practice from the one that all joined from', async () => {
  const [desk, laptop] = await startPair()
  const phone = await startDevice()
  await joinPractice(phone, laptop, 'Phone')
  await imported(desk, workloadLines(5))
  await synced(desk)
  // From one to the other through the device in the middle.
  const { cases } = await phone.link()
  await until(async () => (await cases.list({})).length === 5)
  expect(await exported(phone)).toBe(await exported(desk))
  const invite = begin(['device', 'invite', '--pin-file', pinFile(), '--data', phone.folder, '--json'])
  expect((await invite.ended).code).toBe(0)
})
