/** The local link in a real browser: what its own page can do, and what a foreign page can't. */
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { type Browser, chromium, type Page } from '@playwright/test'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createLocalServer, type LocalServer } from '../../src/node/local-server.js'
import { writeLaunchPage } from '../../src/node/window.js'
import { createFakeDevice, type FakeDevice } from './fake-device.js'

const executablePath = process.env.KARTOTEKA_CHROMIUM ?? '/usr/bin/chromium'

/** What the window does when it opens: code out of the address, token, socket. */
const MAIN = `
  const code = location.hash.slice(1)
  history.replaceState(null, '', '/')
  const response = await fetch('/token', {
    method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ code }),
  })
  document.title = 'token ' + response.status
  if (response.ok) {
    const { token } = await response.json()
    const socket = new WebSocket('ws://' + location.host + '/link', ['kartoteka.1', 'token.' + token])
    socket.onopen = () => { document.title = 'open ' + socket.protocol }
    socket.onerror = () => { document.title = 'failed' }
  }
`
const PAGE = `<!doctype html><title>start</title><script>document.title = 'inline ran'</script>
<script type="module" src="/main.js"></script><p style="color: red">styled</p>`

/** What a page elsewhere tries. */
const ATTACK = `async (url) => {
  const settle = (promise) => promise.then((response) => response.type + response.status, () => 'failed')
  const event = (target, good, bad) => new Promise((resolve) => {
    target[good] = () => resolve('worked')
    target[bad] = () => resolve('failed')
  })
  const socket = new WebSocket(url.replace('http', 'ws') + '/link', ['kartoteka.1', 'token.x'])
  const connected = await event(socket, 'onopen', 'onerror')
  const script = Object.assign(document.createElement('script'), { src: url + '/main.js' })
  const loading = event(script, 'onload', 'onerror')
  document.head.append(script)
  const frame = Object.assign(document.createElement('iframe'), { src: url + '/' })
  const framed = event(frame, 'onload', 'onerror')
  document.body.append(frame)
  await framed
  return {
    read: await settle(fetch(url + '/')),
    readBlind: await settle(fetch(url + '/', { mode: 'no-cors' })),
    post: await settle(fetch(url + '/token', { method: 'POST', body: '{"code":"x"}' })),
    connected,
    loaded: await loading,
    frame: frame.contentDocument === null ? 'foreign' : 'readable',
  }
}`

const SOON = { timeout: 10_000 }

describe.runIf(existsSync(executablePath))('in a browser', () => {
  let root: string
  let device: FakeDevice
  let server: LocalServer
  let browser: Browser
  let foreign: Server

  beforeAll(async () => {
    root = mkdtempSync(join(tmpdir(), 'kartoteka-browser-'))
    mkdirSync(join(root, 'ui'))
    writeFileSync(join(root, 'ui/index.html'), PAGE)
    writeFileSync(join(root, 'ui/main.js'), MAIN)
    device = await createFakeDevice({ folder: join(root, 'data') })
    server = await createLocalServer({
      device,
      folder: root,
      windowFolder: join(root, 'ui'),
      onStop: () => {},
    })
    foreign = createServer((_request, response) => {
      response.setHeader('content-type', 'text/html')
      response.end('<!doctype html><title>foreign</title>')
    })
    await new Promise<void>((resolve) => foreign.listen(0, '127.0.0.1', resolve))
    browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] })
  })
  afterAll(async () => {
    await browser.close()
    foreign.close()
    await server.close()
    await device.close()
    rmSync(root, { recursive: true })
  })

  const own = () => `http://127.0.0.1:${server.port}`
  const settled = async (page: Page) => {
    await expect.poll(() => page.title(), SOON).not.toMatch(/^(start|inline ran)?$/)
    return page.title()
  }
  const onForeignPage = async <T>(work: (page: Page) => Promise<T>): Promise<T> => {
    const page = await browser.newPage()
    try {
      await page.goto(`http://127.0.0.1:${(foreign.address() as AddressInfo).port}/`)
      return await work(page)
    } finally {
      await page.close()
    }
  }

  it('the launch page leads to an open socket, once', async () => {
    const launch = pathToFileURL(await writeLaunchPage(root, server.windowUrl())).href
    const page = await browser.newPage()
    await page.goto(launch)
    await page.waitForURL(`${own()}/`)
    await expect.poll(() => page.title(), SOON).toBe('open kartoteka.1')
    expect(page.url()).not.toContain('#')
    await page.goto(launch)
    await page.waitForURL(`${own()}/`)
    expect(await settled(page)).toBe('token 403')
    await page.close()
  })
  it('inline scripts and foreign addresses are out of reach of our own page', async () => {
    const page = await browser.newPage()
    const blocked: string[] = []
    page.on('console', (message) => blocked.push(message.text()))
    await page.goto(`${own()}/`)
    await settled(page)
    expect(blocked.join('\n')).toMatch(/inline script/i)
    const port = (foreign.address() as AddressInfo).port
    const reached = await page.evaluate(
      (url) =>
        fetch(url, { mode: 'no-cors' }).then(
          () => 'reached',
          () => 'blocked',
        ),
      `http://127.0.0.1:${port}/`,
    )
    expect(reached).toBe('blocked')
    await page.close()
  })
  it('a page on another port can neither read, post, embed nor connect', async () => {
    const outcome = await onForeignPage((page) => page.evaluate(`(${ATTACK})('${own()}')`))
    expect(outcome).toEqual({
      read: 'failed',
      readBlind: 'failed',
      post: 'failed',
      connected: 'failed',
      loaded: 'failed',
      frame: 'foreign',
    })
  })
  it('a link from another page shows the window without a way in', async () => {
    const title = await onForeignPage(async (page) => {
      await page.evaluate(`location.href = '${own()}/'`)
      await page.waitForURL(`${own()}/`)
      return settled(page)
    })
    expect(title).toBe('token 403')
  })
})
