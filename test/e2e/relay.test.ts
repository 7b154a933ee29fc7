/** The built relay as a process, and devices that speak to it by hand. */
import { cpSync, existsSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { createHost } from '../../src/node/host.js'
import { toHex } from '../../src/protocol/bytes.js'
import { MAX_ENVELOPE_BYTES } from '../../src/protocol/mailbox-limits.js'
import { decodeMeetFrame, encodeMeetFrame } from '../../src/protocol/mailbox-wire.js'
import { practiceCode } from '../../src/protocol/practice-code.js'
import { removeDevices } from '../../src/protocol/roster-write.js'
import { makeDevice, must, natives, writing } from '../protocol/roster-helpers.js'
import { folderBytes, folderHolds } from '../support/folders.js'
import { afterwards, kartoteka, run, tempFolder, until } from '../support/processes.js'
import { seeded } from '../support/random.js'
import { makePractice } from '../support/relay.js'
import { MailClient, RelayProcess } from '../support/relay-process.js'

const random = seeded(300)
const practice = makePractice(random, 3)
const [desk, laptop, tablet] = practice.devices as [
  (typeof practice.devices)[0],
  (typeof practice.devices)[0],
  (typeof practice.devices)[0],
]
const id = () => random.bytes(16)

it('keeps mail until it is acknowledged, hands it out in order, pushes what comes, and is empty afterwards', async () => {
  const relay = await new RelayProcess(['--metrics', '0']).start()
  const a = await MailClient.join(desk, practice.roster, relay)
  const mails = Array.from({ length: 40 }, () => ({ id: id(), envelope: random.bytes(3000) }))
  for (const mail of mails)
    expect(await a.deposit({ ...mail, recipients: [laptop.ed, tablet.ed] })).toMatchObject({ error: '' })
  const held = await a.inventory()
  expect(held).toMatchObject({ bytes: 40 * 3000, waiting: [{ count: 40, bytes: 120_000 }, { count: 40 }] })
  await a.close()
  await relay.stop()
  await relay.start()

  const b = await MailClient.join(laptop, practice.roster, relay)
  const first = await b.collect()
  expect(first.mails.map((mail) => toHex(mail.id))).toEqual(mails.map((mail) => toHex(mail.id)))
  expect(first.mails.map(({ envelope }) => envelope)).toEqual(mails.map(({ envelope }) => envelope))
  expect(first.end).toBe(true)
  // A new grant waits for the next mail.
  expect(await b.collect(first.mails.at(-1)!.sequence)).toEqual({ mails: [], end: true })
  const c = await MailClient.join(tablet, practice.roster, relay)
  const late = id()
  expect(await c.deposit({ id: late, recipients: [laptop.ed], envelope: random.bytes(10) })).toMatchObject({
    error: '',
    sequence: 41,
  })
  expect((await b.until('batch')).mails).toMatchObject([{ sequence: 41, id: late }])
  expect(await b.ack([...mails.map((mail) => mail.id), late], random.bytes(100))).toMatchObject({ error: '' })
  // The other devices hear of its word.
  expect((await c.until('notices')).notices).toMatchObject([{ device: laptop.ed }])
  expect((await c.inventory()).waiting).toMatchObject([{ recipient: tablet.ed, count: 40 }])
  expect(await c.missing(laptop.ed, [late])).toEqual([late])
  const all = await c.collectAll()
  await c.ack(all.ids)
  expect(await c.inventory()).toMatchObject({ waiting: [], bytes: 0 })
  const metrics = await (await fetch(`http://127.0.0.1:${relay.metrics}/metrics`)).text()
  expect(metrics).toContain('kartoteka_relay_pending_rows 0')
  expect(metrics).toContain('kartoteka_relay_sessions 2')
  expect(metrics).not.toContain(toHex(practice.roster.practiceId).slice(0, 8))
  expect(metrics).not.toMatch(/127\.0\.0\.1|12D3Koo/)
  expect((await fetch(`http://127.0.0.1:${relay.metrics}/ready`)).status).toBe(200)
})

it('gives the disk back: acknowledged mail is nowhere in its folder', async () => {
  const relay = await new RelayProcess().start()
  const a = await MailClient.join(desk, practice.roster, relay)
  await a.ack([], random.bytes(10))
  const b = await MailClient.join(laptop, practice.roster, relay)
  const floor = folderBytes(relay.folder)
  const canary = random.bytes(24)
  for (let i = 0; i < 60; i++) {
    const envelope = random.bytes(100_000)
    envelope.set(canary, 5000)
    await a.deposit({ id: id(), recipients: [laptop.ed], envelope })
  }
  // The scanner finds what is there.
  expect(folderHolds(relay.folder, canary)).toBe(true)
  expect(folderBytes(relay.folder)).toBeGreaterThan(6_000_000)
  const { ids } = await b.collectAll()
  expect(ids).toHaveLength(60)
  await b.ack(ids)
  await until(() => folderBytes(relay.folder) < floor + 50_000 && !folderHolds(relay.folder, canary))
})

it('[B1] tells strangers nothing, and lets a practice in that shows its roster', async () => {
  const relay = await new RelayProcess().start()
  const a = await MailClient.join(desk, practice.roster, relay)
  await a.deposit({ id: id(), recipients: [laptop.ed], envelope: random.bytes(10) })
  const stranger = makeDevice((length) => random.bytes(length), 'Stranger')
  const s = (await MailClient.dial(stranger, relay))!
  const known = await s.greet(practice.roster)
  expect(await s.until('refuse')).toEqual({ code: 'refused' })
  const other = makePractice(random, 2)
  const t = (await MailClient.dial(stranger, relay))!
  const unknown = await t.greet(other.roster)
  expect(await t.until('refuse')).toEqual({ code: 'refused' })
  expect(known).toEqual(unknown)
  expect(known).toMatchObject({ rosterHead: new Uint8Array(0), sequence: 0 })
  await MailClient.join(other.devices[1]!, other.roster, relay)
})

it('[B8] a removed device loses mail and session at once', async () => {
  const own = makePractice(random, 3)
  const [one, two, three] = own.devices as typeof own.devices & [(typeof own.devices)[0]]
  const relay = await new RelayProcess().start()
  const a = await MailClient.join(one!, own.roster, relay)
  const b = await MailClient.join(two!, own.roster, relay)
  const c = await MailClient.join(three!, own.roster, relay)
  await a.deposit({ id: id(), recipients: [two!.ed, three!.ed], envelope: random.bytes(10) })
  const bytes = (length: number) => random.bytes(length)
  const removed = must(removeDevices(writing(bytes, own.roster, one!), { ids: [two!.ed], cuts: [] }))
  a.say('chain', { entries: [...removed.roster.entries] })
  expect((await a.until('head')).head).toEqual(removed.roster.head)
  expect(await b.until('refuse')).toEqual({ code: 'refused' })
  expect((await c.until('chain')).entries).toHaveLength(removed.roster.entries.length)
  expect((await a.inventory()).waiting).toMatchObject([{ recipient: three!.ed, count: 1 }])
  expect(await a.deposit({ id: id(), recipients: [two!.ed], envelope: random.bytes(1) })).toMatchObject({
    error: 'not-member',
  })
})

it('[B3] [B4] says what it can’t take, and takes what replaces it', async () => {
  const relay = await new RelayProcess(['--quota-mb', '1']).start()
  const a = await MailClient.join(desk, practice.roster, relay)
  const to = [laptop.ed]
  const old = id()
  expect(await a.deposit({ id: old, recipients: to, envelope: new Uint8Array(900_000) })).toMatchObject({
    error: '',
  })
  expect(await a.deposit({ id: id(), recipients: to, envelope: new Uint8Array(200_000) })).toMatchObject({
    error: 'full',
  })
  const next = id()
  expect(
    await a.deposit({ id: next, recipients: to, replaces: [old], envelope: new Uint8Array(200_000) }),
  ).toMatchObject({ error: '' })
  expect(await a.missing(laptop.ed, [old, next])).toEqual([old])
  expect(
    await a.deposit({ id: id(), recipients: to, envelope: new Uint8Array(MAX_ENVELOPE_BYTES + 1) }),
  ).toMatchObject({ error: 'too-large' })
  expect(
    await a.deposit({ id: random.bytes(15), recipients: to, envelope: new Uint8Array(1) }),
  ).toMatchObject({ error: 'malformed' })
  expect(await a.inventory()).toMatchObject({ bytes: 200_000, quota: 1024 * 1024 })
})

it('[B10] a folder restored from an older copy is another incarnation', async () => {
  const relay = await new RelayProcess().start()
  const a = await MailClient.join(desk, practice.roster, relay)
  const kept = id()
  await a.deposit({ id: kept, recipients: [laptop.ed], envelope: random.bytes(10) })
  await a.close()
  await relay.stop()
  const copy = join(tempFolder(), 'copy')
  cpSync(relay.folder, copy, { recursive: true, preserveTimestamps: true })
  await relay.start()
  const b = (await MailClient.dial(desk, relay))!
  const before = await b.greet(practice.roster)
  const lost = id()
  await b.deposit({ id: lost, recipients: [laptop.ed], envelope: random.bytes(10) })
  await b.close()
  await relay.stop()
  rmSync(relay.folder, { recursive: true })
  cpSync(copy, relay.folder, { recursive: true, preserveTimestamps: true })
  await relay.start()
  const c = (await MailClient.dial(desk, relay))!
  const after = await c.greet(practice.roster)
  expect(after.sequence).toBe(1)
  expect(after.incarnation).not.toEqual(before.incarnation)
  expect(await c.missing(laptop.ed, [kept, lost])).toEqual([lost])
})

it('[B13] leads who knows the code to the device whose window is open', async () => {
  const relay = await new RelayProcess().start()
  const a = await MailClient.join(desk, practice.roster, relay)
  const host = await createHost({
    privateKey: random.bytes(32),
    listen: ['/ip4/127.0.0.1/tcp/0'],
    lan: false,
  })
  if ('code' in host) throw new Error(host.sentence)
  afterwards(() => host.stop())
  const find = async (code: string) => {
    const opened = await host.dial(relay.addresses, '/kartoteka/meet/1')
    if (!('channel' in opened)) throw new Error(opened.code)
    opened.channel.send('live', encodeMeetFrame({ $case: 'find', value: { code } }))
    for await (const { bytes } of opened.channel.messages) return decodeMeetFrame(bytes)?.value
    return undefined
  }
  const code = practiceCode(natives, practice.roster.practiceId)
  expect(await find(code)).toEqual({ devices: [] })
  a.say('window', { open: true })
  await a.inventory()
  expect(await find(code)).toEqual({ devices: [desk.ed] })
  expect(await find(code.replaceAll('-', '').slice(0, 16))).toEqual({ devices: [desk.ed] })
  expect(await find(`0${code.slice(1)}`)).toEqual({ devices: [] })
  await a.close()
  await until(async () => JSON.stringify(await find(code)) === JSON.stringify({ devices: [] }), 20_000, 1100)
})

it('stops when it is told to: answers, says goodbye, ends with 0, and holds everything', async () => {
  const relay = await new RelayProcess().start()
  const a = await MailClient.join(desk, practice.roster, relay)
  const ids = Array.from({ length: 100 }, id)
  const answers = ids.map((each) =>
    a.deposit({ id: each, recipients: [laptop.ed], envelope: random.bytes(2000) }),
  )
  const settled = Promise.allSettled(answers)
  await answers[0]
  const outcome = await relay.stop()
  expect(outcome.code).toBe(0)
  const answered = (await settled).flatMap((each, at) =>
    each.status === 'fulfilled' && each.value.error === '' ? [ids[at]!] : [],
  )
  expect(answered.length).toBeGreaterThan(0)
  expect(await a.until('refuse')).toEqual({ code: 'stopping' })
  expect(existsSync(join(relay.folder, 'holder'))).toBe(false)
  await relay.start()
  const b = await MailClient.join(laptop, practice.roster, relay)
  const there = new Set((await b.collectAll()).ids.map(toHex))
  expect(answered.filter((each) => !there.has(toHex(each)))).toEqual([])
})

it('holds its folder alone, and says what is wrong with a setting', async () => {
  const relay = await new RelayProcess().start()
  const second = await run(relay.folder, ['relay', '--listen', '/ip4/127.0.0.1/tcp/0', '--stun-port', '0'])
  expect(second).toMatchObject({ code: 1, json: { error: { code: 'in-use' } } })
  expect(second.stderr).toContain(`process ${relay.pid}`)
  const refused = async (args: string[], env = {}, file?: string) => {
    const folder = tempFolder()
    if (file !== undefined) writeFileSync(join(folder, 'relay.json'), file)
    const outcome = await kartoteka(['relay', '--data', folder, ...args], { env })
    expect(outcome.code).toBe(1)
    return outcome.stderr.trim()
  }
  expect(await refused(['--quota-mb', 'much'])).toBe('--quota-mb must be a whole number from 1 to 1000000.')
  expect(await refused(['--listen', 'localhost'])).toContain('"localhost" is no address')
  expect(await refused(['--allow', 'ABC'])).toContain('is no practice code')
  expect(await refused(['--store', 'postgres'])).toContain('must be "level"')
  expect(await refused([], { KARTOTEKA_RELAY_EXPIRY_DAYS: '0' })).toContain(
    'KARTOTEKA_RELAY_EXPIRY_DAYS must be',
  )
  expect(await refused([], {}, '{"quota": 5}')).toContain('"quota", which is no setting')
  expect(await refused([], {}, '{"circuit": 5}')).toContain('"circuit" in relay.json must be true or false')
  expect(await refused([], {}, 'no')).toContain('is not JSON')
  expect(await refused(['--listen', relay.addresses[0]!.replace(/\/p2p.*/, ''), '--stun-port', '0'])).toMatch(
    /^\S.*\.$/m,
  )
})

it('is the same relay after a restart, and only for the practices that it is told', async () => {
  const code = practiceCode(natives, practice.roster.practiceId)
  const relay = await new RelayProcess(['--allow', code]).start()
  const [address] = relay.addresses
  expect(statSync(join(relay.folder, 'identity.json')).mode & 0o777).toBe(0o600)
  const identity = readFileSync(join(relay.folder, 'identity.json'), 'utf8')
  await MailClient.join(desk, practice.roster, relay)
  const other = makePractice(random, 1)
  const client = (await MailClient.dial(other.devices[0]!, relay))!
  await client.greet(other.roster)
  expect(await client.until('refuse')).toEqual({ code: 'refused' })
  await relay.kill()
  await relay.start()
  expect(relay.addresses[0]).toBe(address)
  await relay.stop()
  writeFileSync(join(relay.folder, 'identity.json'), identity.slice(0, 30))
  await expect(relay.start()).rejects.toThrow(/identity file .* can't be read/)
})
