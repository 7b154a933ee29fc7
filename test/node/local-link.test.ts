import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { WebSocketServer } from 'ws'
import { Refused, toRefused } from '../../src/node/api.js'
import { dataFolder, readLinkFile, removeLinkFile, writeLinkFile } from '../../src/node/data-folder.js'
import { connectLink, type Link } from '../../src/node/link-client.js'
import { createLocalServer, type LocalServer } from '../../src/node/local-server.js'
import { linkProof, PROOF_HEADER } from '../../src/node/local-server-proof.js'
import { createLocalClient } from '../../src/node/router.js'
import { appArguments, openWindow, writeLaunchPage } from '../../src/node/window.js'
import { createFakeDevice, type FakeDevice } from './fake-device.js'

let folder: string
let device: FakeDevice
let server: LocalServer
let link: Link
let stops: number
let logged: string[]

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'kartoteka-link-'))
  device = await createFakeDevice({ folder })
  stops = 0
  logged = []
  server = await createLocalServer({
    device,
    folder,
    onStop: () => stops++,
    log: (line) => logged.push(line),
  })
  await writeLinkFile(folder, { port: server.port, pid: process.pid, token: server.linkToken })
  link = (await connectLink(folder)) as Link
})

afterEach(async () => {
  link.close()
  await server.close()
  await device.close()
  rmSync(folder, { recursive: true })
})

const refusalOf = (promise: Promise<unknown>) =>
  promise.then(
    () => null,
    (error) => toRefused(error).toRefusal(),
  )
const until = async (condition: () => boolean) => {
  for (let tries = 0; tries < 200 && !condition(); tries++) await sleep(10)
  expect(condition()).toBe(true)
}

describe('the contract over the link', () => {
  it('answers', async () => {
    expect((await link.client.status()).device.id).toBe(device.id)
    expect(await link.client.about()).toEqual({
      device: device.id,
      addresses: device.addresses(),
      data: folder,
    })
    expect((await link.client.windowUrl()).url).toContain(`http://127.0.0.1:${server.port}/#`)
  })
  it('carries case texts unchanged', async () => {
    const odd =
      '{"id":"__proto__","__proto__":{"a":1}, "n":1.0,"nul":"\\u0000","half":"\\ud800","rtl":"אב😀"}'
    const { id } = await link.client.cases.create({ json: odd })
    expect((await link.client.cases.show({ id })).json).toBe(odd)
  })
  it('carries a case of 48 MB', async () => {
    const big = JSON.stringify({ id: 'big', text: '"\n'.repeat(12 * 1024 * 1024) })
    const { id } = await link.client.cases.create({ json: big })
    expect((await link.client.cases.show({ id })).json === big).toBe(true)
  })
  it('carries a refusal with code and sentence', async () => {
    expect(await refusalOf(link.client.cases.show({ id: 'none' }))).toEqual({
      code: 'no-case',
      sentence: 'There is no case none.',
    })
    expect(logged).toEqual([])
  })
  it('says what input is wrong', async () => {
    const wrong = link.client.cases.archive({ ids: [] })
    expect(await refusalOf(wrong)).toMatchObject({ code: 'bad-input' })
  })
  it('keeps the details of a bug to its own log', async () => {
    const bug = await refusalOf(link.client.config.set({ key: 'boom', value: '' }))
    expect(bug?.code).toBe('internal')
    expect(JSON.stringify(bug)).not.toContain('secret detail')
    expect(logged.join()).toContain('secret detail')
  })
  it('delivers events, and lets go of the device when the listener leaves', async () => {
    const stop = new AbortController()
    const events = await link.client.events(undefined, { signal: stop.signal })
    const next = events.next()
    await until(() => device.listeners() === 1)
    device.emit({ type: 'cases', ids: ['a'] })
    expect((await next).value).toEqual({ type: 'cases', ids: ['a'] })
    stop.abort()
    await sleep(20)
    // The generator notices at its next event.
    device.emit({ type: 'status' })
    await until(() => device.listeners() === 0)
  })
  it('ends the events of a connection that is gone', async () => {
    const events = await link.client.events()
    events.next().catch(() => {})
    await until(() => device.listeners() === 1)
    link.close()
    await link.closed
    await sleep(20)
    device.emit({ type: 'status' })
    await until(() => device.listeners() === 0)
  })
  it('carries a refusal out of an event stream', async () => {
    const opened = await link.client.doc.open({ id: 'none' })
    expect(await refusalOf(opened.next())).toMatchObject({ code: 'no-case' })
  })
  it('stops after the answer', async () => {
    expect(await link.client.stop()).toEqual({ ok: true })
    await until(() => stops === 1)
  })
  it('fails what is under way when the device hangs up', async () => {
    const events = await link.client.events()
    const pending = refusalOf(events.next())
    await server.close()
    expect(await pending).toMatchObject({ code: 'device-stopped' })
    await link.closed
  })
  it('is the same within one process', async () => {
    const host = {
      about: () => Promise.reject(new Refused('x', 'X.')),
      windowUrl: () => Promise.reject(new Refused('x', 'X.')),
      stop: () => Promise.reject(new Refused('x', 'X.')),
    }
    const client = createLocalClient({ device, host, log: (line) => logged.push(line) })
    const { id } = await client.cases.create({ json: '{"a" :1}' })
    expect(await client.cases.show({ id })).toEqual({ json: '{"a" :1}' })
    expect(await refusalOf(client.cases.show({ id: 'none' }))).toMatchObject({ code: 'no-case' })
    expect(await refusalOf(client.stop())).toEqual({ code: 'x', sentence: 'X.' })
    expect(await refusalOf(client.cases.archive({ ids: [] }))).toMatchObject({ code: 'bad-input' })
    const opened = await client.doc.open({ id })
    expect((await opened.next()).value).toEqual({ update: 'AAA=' })
  })
})

describe('the link file', () => {
  it('is readable by this user only', () => {
    expect(statSync(join(folder, 'link.json')).mode & 0o777).toBe(0o600)
  })
  it('is removed by the run that wrote it, and by no other', async () => {
    await removeLinkFile(folder, 'another token')
    expect(await readLinkFile(folder)).not.toBeNull()
    await removeLinkFile(folder, server.linkToken)
    expect(await readLinkFile(folder)).toBeNull()
  })
  it('leads nowhere when it is missing, damaged or stale', async () => {
    expect(await connectLink(join(folder, 'none'))).toBeNull()
    await writeLinkFile(folder, { port: server.port, pid: 2 ** 22 + 1, token: server.linkToken })
    expect(await connectLink(folder)).toBeNull()
    await writeLinkFile(folder, { port: server.port, pid: process.pid, token: 'of an earlier run' })
    expect(await connectLink(folder)).toBeNull()
    await writeLinkFile(folder, { port: 1, pid: process.pid, token: server.linkToken })
    expect(await connectLink(folder)).toBeNull()
  })
  it('gives nothing to a program that has taken the port since', async () => {
    let seen = ''
    let messages = 0
    const http = createServer()
    const sockets = new WebSocketServer({ server: http, handleProtocols: () => 'kartoteka.1' })
    sockets.on('headers', (lines, request) => {
      seen = String(request.headers['sec-websocket-protocol'])
      lines.push(`${PROOF_HEADER}: ${linkProof('a guess', 'server', 'nonce')}`)
    })
    sockets.on('connection', (socket) => socket.on('message', () => messages++))
    await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve))
    const token = 'the secret of the run that crashed'
    await writeLinkFile(folder, { port: (http.address() as AddressInfo).port, pid: process.pid, token })
    expect(await connectLink(folder)).toBeNull()
    expect(seen).toContain('proof.')
    expect(seen).not.toContain(token)
    expect(messages).toBe(0)
    http.closeAllConnections()
    http.close()
  })
})

describe('the data folder', () => {
  const linux = (env: NodeJS.ProcessEnv) => dataFolder(undefined, env, 'linux')
  it('is the one asked for, else the platform’s', () => {
    expect(dataFolder('/a', { KARTOTEKA_DATA: '/b' })).toBe('/a')
    expect(linux({ KARTOTEKA_DATA: '/b', XDG_DATA_HOME: '/c' })).toBe('/b')
    expect(linux({ XDG_DATA_HOME: '/c' })).toBe('/c/kartoteka')
    expect(linux({ XDG_DATA_HOME: 'c' })).toMatch(/\/\.local\/share\/kartoteka$/)
    expect(linux({})).toMatch(/\/\.local\/share\/kartoteka$/)
    expect(dataFolder(undefined, {}, 'darwin')).toMatch(/Library\/Application Support\/Kartoteka$/)
  })
})

describe('the window', () => {
  it('is launched through a page that only this user can read', async () => {
    const url = server.windowUrl()
    const page = await writeLaunchPage(folder, url)
    expect(statSync(page).mode & 0o777).toBe(0o600)
    expect(readFileSync(page, 'utf8')).toContain(`content="0;url=${url}"`)
    expect(await writeLaunchPage(folder, url)).not.toBe(page)
  })
  it('names neither the code nor a debugging port in its arguments', () => {
    const args = appArguments('file:///x/open.html', '/x/profile').join(' ')
    expect(args).toContain('--app=file:///x/open.html')
    expect(args).toContain('--user-data-dir=/x/profile')
    expect(args).not.toMatch(/#|remote-debugging|no-sandbox/)
  })
  it('is not tried without a screen', async () => {
    expect(await openWindow({ url: server.windowUrl(), folder, env: {}, platform: 'linux' })).toBeNull()
  })
  it('keeps its folder to itself', async () => {
    mkdirSync(join(folder, 'window'))
    chmodSync(join(folder, 'window'), 0o755)
    const pages: string[] = []
    const kind = await openWindow({
      url: server.windowUrl(),
      folder,
      env: { DISPLAY: ':99', PATH: '' },
      platform: 'linux',
      openDefault: async (page) => pages.push(page) > 0,
    })
    expect(kind).toBe('browser')
    expect(pages[0]).toMatch(/^file:.*\/window\/open-.*\.html$/)
    expect(statSync(join(folder, 'window')).mode & 0o777).toBe(0o700)
    expect(statSync(join(folder, 'window/profile')).mode & 0o777).toBe(0o700)
  })
})
