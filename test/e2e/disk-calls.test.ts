/**
 * The disk fails under the real program, at one of its calls to the system or from there on (`strace --inject`): nothing
 * is acknowledged that isn't flushed, a device goes on reading and says why it doesn't write, and everything acknowledged
 * is there after the next start. All 500 calls of the store are tried in `test/node/disk-errors.test.ts`, without a
 * process for each. KARTOTEKA_DISK_CALLS says how many failures there are of a device and of a relay.
 */
import { join } from 'node:path'
import { expect, it } from 'vitest'
import type { Status } from '../../src/node/contract.js'
import type { Host } from '../../src/node/host.js'
import type { Client } from '../../src/node/router.js'
import { toHex } from '../../src/protocol/bytes.js'
import { createPractice, exported, TestDevice, tempFolder } from '../support/processes.js'
import { type Random, seeded } from '../support/random.js'
import { makePractice } from '../support/relay.js'
import { MailClient, RelayProcess } from '../support/relay-process.js'
import { type Failure, failing, ONE_THREAD, straceObstacle, whatHappened } from '../support/strace.js'

const FAILURES = Number(process.env.KARTOTEKA_DISK_CALLS ?? 8)
const SEED = Number(process.env.KARTOTEKA_SEED ?? 420)
/** Tried side by side. */
const AT_ONCE = 2
const FAILURE_MS = 30_000
const EDITS = 12
/** Of each kind of call a start, a practice and the edits make at least so many. */
const CALLS = { write: 33, fdatasync: 17, fsync: 4, rename: 3 } as const
/** A relay keeps nothing else while it works. */
const RELAY_CALLS = { write: 16, fdatasync: 8 } as const
/** Of a start whose new key file is not known to be on the disk under its name. Tried every time. */
const KEY_FILE: Failure = { call: 'fsync', error: 'EIO', at: 4, stays: false }
const ID = 'one'

const why = straceObstacle()
if (why !== undefined) console.log(`SKIPPED failing calls to the disk: ${why}.`)

function drawn<Calls extends Partial<Record<Failure['call'], number>>>(
  calls: Calls,
  random: Random,
): Failure {
  const call = random.pick(Object.keys(calls)) as Failure['call']
  return {
    call,
    error: random.pick(['EIO', 'ENOSPC']),
    at: random.int(1, calls[call]!),
    stays: random() < 0.5,
  }
}

async function each<T>(inputs: T[], work: (input: T) => Promise<void>): Promise<void> {
  const left = [...inputs]
  const hand = async () => {
    for (let input = left.shift(); input; input = left.shift()) await work(input)
  }
  await Promise.all(Array.from({ length: AT_ONCE }, hand))
}

const randoms = (seed: number) => Array.from({ length: FAILURES }, (_, at) => seeded(seed + at))
const timeout = FAILURES * FAILURE_MS

it.skipIf(why !== undefined)(
  `a device: nothing acknowledged is lost where one of its calls fails, ${FAILURES} times`,
  { timeout },
  () =>
    each(
      [
        KEY_FILE,
        ...randoms(SEED)
          .slice(1)
          .map((random) => drawn(CALLS, random)),
      ],
      deviceFails,
    ),
)

it.skipIf(why !== undefined)(
  `a relay: nothing acknowledged is lost where one of its calls fails, ${FAILURES} times`,
  { timeout },
  () => each(randoms(SEED + 10_000), relayFails),
)

async function deviceFails(failure: Failure): Promise<void> {
  const what = JSON.stringify(failure)
  const folder = join(tempFolder(), 'data')
  const log = join(tempFolder(), 'calls')
  const options = { folder, env: ONE_THREAD as Record<string, string>, under: failing(folder, log, failure) }
  const device = new TestDevice(options)
  const acknowledged: string[] = []
  const notStarted = await device.start().then(
    () => undefined,
    (error: Error) => /"code":"([a-z-]+)"/.exec(error.message)?.[1] ?? error.message,
  )
  const refusal = notStarted ?? (await edits(await device.link(), acknowledged))
  const { failed, flushed } = whatHappened(log)
  expect(failed, what).toBeGreaterThan(0)
  expect(acknowledged.length, what).toBeLessThanOrEqual(flushed)
  expect(refusal, what).toBe(failure.error === 'ENOSPC' ? 'disk-full' : 'disk-failed')
  if (notStarted === undefined) await expectReading(device, acknowledged, refusal)
  await device.kill()
  options.under = []
  await device.start()
  await expectAll(device, acknowledged)
}

/** Edits and flushes; which code refused one, if any did. Whatever was refused, a later one may not be acknowledged. */
async function edits(client: Client, acknowledged: string[]): Promise<string | undefined> {
  let code: string | undefined
  const attempt = async (name: string, edit: () => Promise<unknown>) => {
    try {
      await edit()
      await client.flush()
      if (code !== undefined) throw new Error(`${name} was acknowledged after ${code}`)
      acknowledged.push(name)
    } catch (error) {
      const { data } = error as { data?: { code: string } }
      if (data === undefined) throw error
      code = data.code
    }
  }
  await attempt('practice', () => client.practice.create({ name: 'Gabinet', device: 'Desk' }))
  if (code !== undefined) return code
  const made = { id: ID, consultations: [{ id: 'c0', date: '2025-01-01', text: '' }] }
  await attempt('case', () => client.cases.create({ json: JSON.stringify(made) }))
  if (code !== undefined) return code
  for (let number = 0; number < EDITS; number++) {
    const text = `(${number})`
    await attempt(text, () => client.cases.type({ id: ID, consultation: 'c0', at: 0, erase: 0, text }))
  }
  return code
}

async function expectReading(
  device: TestDevice,
  acknowledged: string[],
  code: string | undefined,
): Promise<void> {
  const client = await device.link()
  if (acknowledged.includes('practice')) {
    const { problems }: Status = await client.status()
    expect(problems.map((problem) => problem.code)).toEqual(code === undefined ? [] : [code])
  }
  if (acknowledged.includes('case')) await expectTyped(client, acknowledged)
}

async function expectTyped(client: Client, acknowledged: string[]): Promise<void> {
  const { json } = await client.cases.show({ id: ID })
  const { text } = (JSON.parse(json) as { consultations: { text: string }[] }).consultations[0]!
  const typed = acknowledged.filter((name) => name.startsWith('('))
  expect(typed.filter((mark) => text.split(mark).length !== 2)).toEqual([])
}

/** What was acknowledged is there, and it is a device like any other again. */
async function expectAll(device: TestDevice, acknowledged: string[]): Promise<void> {
  const client = await device.link()
  const { practice } = await client.status()
  if (practice === null) {
    expect(acknowledged).toEqual([])
    await createPractice(device)
  }
  if (acknowledged.includes('case')) await expectTyped(client, acknowledged)
  await client.cases.create({ json: JSON.stringify({ id: 'later' }) })
  await client.flush()
  expect(await exported(device)).toContain('later')
  expect((await client.status()).problems).toEqual([])
  await device.stop()
}

async function relayFails(random: Random): Promise<void> {
  const failure = drawn(RELAY_CALLS, random)
  const what = JSON.stringify(failure)
  const folder = join(tempFolder(), 'relay')
  const log = join(tempFolder(), 'calls')
  const under = failing(folder, log, failure)
  const relay = new RelayProcess([], folder, ONE_THREAD, under)
  const started = await relay.start().then(
    () => true,
    () => false,
  )
  const practice = makePractice(random, 2)
  const [from, to] = practice.devices as [(typeof practice.devices)[0], (typeof practice.devices)[0]]
  const acknowledged = new Set<string>()
  let host: Host | undefined
  for (let number = 0; started && number < EDITS; number++) {
    const id = random.bytes(16)
    const client = await MailClient.join(from, practice.roster, relay, host).catch(() => undefined)
    host = client?.host ?? host
    const deposit = { id, envelope: random.bytes(500), recipients: [to.ed] }
    const done = await client?.deposit(deposit).catch(() => undefined)
    if (done?.error === '') acknowledged.add(toHex(id))
    await client?.hangUp()
  }
  const { failed, flushed } = whatHappened(log)
  expect(failed, what).toBeGreaterThan(0)
  expect(acknowledged.size, what).toBeLessThanOrEqual(flushed)
  await relay.kill()
  under.length = 0
  await relay.start()
  const reader = await MailClient.join(to, practice.roster, relay)
  const there = new Set((await reader.collectAll()).ids.map(toHex))
  expect(
    [...acknowledged].filter((id) => !there.has(id)),
    what,
  ).toEqual([])
  const id = random.bytes(16)
  expect(await reader.deposit({ id, envelope: random.bytes(500), recipients: [from.ed] })).toMatchObject({
    error: '',
  })
}
