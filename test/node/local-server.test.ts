import { spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { WebSocket } from 'ws'
import { createLocalServer, type LocalServer, MAX_BODY_BYTES } from '../../src/node/local-server.js'
import { CODE_LIFETIME_MS, createOneTimeCodes, MAX_OPEN_CODES } from '../../src/node/local-server-codes.js'
import { proofProtocol } from '../../src/node/local-server-proof.js'
import { keyOf, ownersOf } from '../../src/node/local-server-uid.js'
import { createFakeDevice, type FakeDevice } from './fake-device.js'

const SCRIPT = 'console.log(1)'
let root: string
let device: FakeDevice
let server: LocalServer
let clock = 0

beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), 'kartoteka-link-'))
  mkdirSync(join(root, 'ui/assets'), { recursive: true })
  writeFileSync(join(root, 'ui/index.html'), '<!doctype html><title>K</title>')
  writeFileSync(join(root, 'ui/assets/main.js'), SCRIPT)
  writeFileSync(join(root, 'secret.txt'), 'secret')
  device = await createFakeDevice({ folder: join(root, 'data') })
  server = await createLocalServer({
    device,
    folder: join(root, 'data'),
    windowFolder: join(root, 'ui'),
    onStop: () => {},
    now: () => clock,
  })
})

afterAll(async () => {
  await server.close()
  await device.close()
  rmSync(root, { recursive: true })
})

interface Answer {
  status: number
  headers: Record<string, string | string[] | undefined>
  body: string
}
type Headers = Record<string, string>
interface Ask {
  method?: string
  headers?: Headers
  body?: string
  port?: number
}

function ask(path: string, { method = 'GET', headers = {}, body, port = server.port }: Ask = {}) {
  return new Promise<Answer>((resolve, reject) => {
    const sent = request({ host: '127.0.0.1', port, path, method, headers }, (response) => {
      const parts: Buffer[] = []
      response.on('data', (part: Buffer) => parts.push(part))
      response.on('end', () =>
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          body: Buffer.concat(parts).toString(),
        }),
      )
    })
    sent.on('error', reject)
    sent.end(body)
  })
}

const own = () => `http://127.0.0.1:${server.port}`
const host = () => `127.0.0.1:${server.port}`
/** What a browser sends for a script's request from our own page. */
const sameOrigin = (): Headers => ({
  origin: own(),
  'sec-fetch-site': 'same-origin',
  'sec-fetch-mode': 'cors',
  'sec-fetch-dest': 'empty',
})
const visit = (site: string): Headers => ({
  'sec-fetch-site': site,
  'sec-fetch-mode': 'navigate',
  'sec-fetch-dest': 'document',
})
const freshCode = () => new URL(server.windowUrl()).hash.slice(1)
const exchange = (code: string, headers: Headers = {}, body = JSON.stringify({ code })) =>
  ask('/token', {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...sameOrigin(), ...headers },
    body,
  })
const tokenOf = async () => JSON.parse((await exchange(freshCode())).body).token as string

interface Dialled {
  status: number
  protocol: string
  socket: WebSocket
}
interface Dial {
  protocols?: string[]
  headers?: Headers
  path?: string
}
function dial({ protocols = [], headers = {}, path = '/link' }: Dial): Promise<Dialled> {
  return new Promise((resolve) => {
    const socket = new WebSocket(`ws://127.0.0.1:${server.port}${path}`, protocols, {
      headers: { origin: own(), 'sec-fetch-site': 'same-origin', ...headers },
    })
    socket.on('error', () => {})
    socket.on('open', () => resolve({ status: 101, protocol: socket.protocol, socket }))
    socket.on('unexpected-response', (_request, response) => {
      resolve({ status: response.statusCode ?? 0, protocol: '', socket })
      response.resume()
      socket.terminate()
    })
  })
}

/** Every route there is, with the request that it would answer. */
const routes: [string, () => Promise<number>, (headers: Headers) => Promise<number>][] = [
  ['GET /', async () => (await ask('/')).status, async (headers) => (await ask('/', { headers })).status],
  [
    'GET /assets/main.js',
    async () => (await ask('/assets/main.js', { headers: sameOrigin() })).status,
    async (headers) => (await ask('/assets/main.js', { headers })).status,
  ],
  [
    'POST /token',
    async () => (await exchange(freshCode())).status,
    async (headers) => (await exchange(freshCode(), headers)).status,
  ],
  [
    'socket',
    async () => {
      const dialled = await dial({ protocols: ['kartoteka.1', `token.${await tokenOf()}`] })
      dialled.socket.terminate()
      return dialled.status === 101 ? 200 : dialled.status
    },
    async (headers) => {
      const dialled = await dial({ protocols: ['kartoteka.1', `token.${await tokenOf()}`], headers })
      dialled.socket.terminate()
      return dialled.status
    },
  ],
]

describe.each(routes)('%s', (name, proper, withHeaders) => {
  it('answers the proper request', async () => {
    expect(await proper()).toBe(200)
  })
  it.each(['localhost', 'evil.example', '127.0.0.1', '127.0.0.1:1', '[::1]', 'evil.example@127.0.0.1'])(
    'refuses the host %s',
    async (wrong) => {
      expect(await withHeaders({ host: wrong })).toBe(403)
    },
  )
  it('refuses our name with another port, and another name with our port', async () => {
    expect(await withHeaders({ host: `localhost:${server.port}` })).toBe(403)
    expect(await withHeaders({ host: `${host()}0` })).toBe(403)
  })
  it.each(['http://evil.example', 'null', 'http://127.0.0.1:1', 'http://127.0.0.1', 'file://'])(
    'refuses the origin %s',
    async (origin) => {
      expect(await withHeaders({ origin })).toBe(403)
      expect(await withHeaders({ origin: `http://localhost:${server.port}` })).toBe(403)
      expect(await withHeaders({ origin: `https://127.0.0.1:${server.port}` })).toBe(403)
    },
  )
  it.each(['cross-site', 'same-site', 'none'])('refuses a request from %s', async (site) => {
    expect(await withHeaders({ 'sec-fetch-site': site, 'sec-fetch-mode': 'cors' })).toBe(403)
    expect(
      await withHeaders({ 'sec-fetch-site': site, 'sec-fetch-mode': 'no-cors', 'sec-fetch-dest': 'script' }),
    ).toBe(403)
  })
  it('is no target of an embedding page', async () => {
    const frame = {
      'sec-fetch-site': 'cross-site',
      'sec-fetch-mode': 'navigate',
      'sec-fetch-dest': 'iframe',
    }
    expect(await withHeaders(frame)).toBe(403)
  })
  it('lets a top-level visit from elsewhere see the page, and nothing else', async () => {
    for (const site of ['cross-site', 'same-site', 'none'])
      expect(await withHeaders(visit(site))).toBe(name === 'GET /' ? 200 : 403)
  })
})

describe('every answer', () => {
  const answers: [string, () => Promise<Answer>][] = [
    ['the page', () => ask('/')],
    ['a file', () => ask('/assets/main.js')],
    ['no file', () => ask('/nothing')],
    ['a refusal', () => ask('/', { headers: { host: 'evil.example' } })],
    ['the token', () => exchange(freshCode())],
    ['no token', () => exchange('x')],
    ['a refused upgrade', () => ask('/link', { headers: { connection: 'upgrade', upgrade: 'websocket' } })],
  ]
  it.each(answers)('carries the headers: %s', async (_name, get) => {
    const { headers } = await get()
    expect(headers['content-security-policy']).toBe(
      [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data:",
        "font-src 'self'",
        `connect-src ${own()} ws://${host()}`,
        "frame-ancestors 'none'",
        "base-uri 'none'",
        "form-action 'none'",
      ].join('; '),
    )
    expect(headers['cross-origin-opener-policy']).toBe('same-origin')
    expect(headers['cross-origin-resource-policy']).toBe('same-origin')
    expect(headers['x-content-type-options']).toBe('nosniff')
    expect(headers['cache-control']).toBe('no-store')
    expect(headers['referrer-policy']).toBe('no-referrer')
    expect(headers['access-control-allow-origin']).toBeUndefined()
    expect(headers['set-cookie']).toBeUndefined()
  })
})

describe('the files of the window', () => {
  it('have their types', async () => {
    expect((await ask('/')).headers['content-type']).toContain('text/html')
    const script = await ask('/assets/main.js?v=1')
    expect(script.body).toBe(SCRIPT)
    expect(script.headers['content-type']).toContain('text/javascript')
  })
  it.each([
    '/../secret.txt',
    '/%2e%2e/secret.txt',
    '/assets/../../secret.txt',
    '/assets',
    '/assets/',
    '//secret.txt',
    '/__proto__',
    '/constructor',
  ])('are the only ones: %s', async (path) => {
    expect((await ask(path)).status).toBe(404)
  })
  it('are only read', async () => {
    for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS', 'HEAD', 'TRACE'])
      expect((await ask('/', { method })).status).toBe(405)
  })
  it('give way to a sentence when they have not been built', async () => {
    const bare = await createLocalServer({
      device,
      folder: root,
      windowFolder: join(root, 'none'),
      onStop: () => {},
    })
    expect((await ask('/', { port: bare.port })).body).toContain('has not been built')
    await bare.close()
  })
})

describe('the one-time code', () => {
  it('opens once', async () => {
    const code = freshCode()
    expect((await exchange(code)).status).toBe(200)
    expect((await exchange(code)).status).toBe(403)
  })
  it('opens for five minutes', async () => {
    const [early, late] = [freshCode(), freshCode()]
    clock += CODE_LIFETIME_MS - 1
    expect((await exchange(early)).status).toBe(200)
    clock += 1
    expect((await exchange(late)).status).toBe(403)
  })
  it('stands in the fragment, which never reaches a server', () => {
    const url = new URL(server.windowUrl())
    expect(url.href).toBe(`${own()}/${url.hash}`)
    expect(url.hash.length).toBeGreaterThan(32)
  })
  it('is asked for by POST as JSON from our own page only', async () => {
    expect((await ask('/token', { headers: sameOrigin() })).status).toBe(405)
    expect((await exchange(freshCode(), { 'content-type': 'text/plain' })).status).toBe(415)
    const without = await ask('/token', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ code: freshCode() }),
    })
    expect(without.status).toBe(403)
  })
  it('is never taken from anything else', async () => {
    for (const body of ['', 'x', 'null', '[]', '{}', '{"code":1}', '{"code":null}'])
      expect((await exchange('', {}, body)).status).toBe(400)
    expect((await exchange('')).status).toBe(403)
    expect((await exchange('', {}, `"${'x'.repeat(MAX_BODY_BYTES)}"`)).status).toBe(413)
  })
  it('is forgotten, the oldest first, when there are too many', () => {
    const codes = createOneTimeCodes(() => 0)
    const all = Array.from({ length: MAX_OPEN_CODES + 1 }, () => codes.create())
    expect(codes.redeem(all[0] as string)).toBe(false)
    expect(codes.redeem(all[1] as string)).toBe(true)
    expect(codes.redeem(all.at(-1) as string)).toBe(true)
  })
})

describe('the socket', () => {
  it('never echoes the token', async () => {
    const { protocol, socket } = await dial({ protocols: ['kartoteka.1', `token.${await tokenOf()}`] })
    expect(protocol).toBe('kartoteka.1')
    socket.terminate()
  })
  it('opens for the token of this run only', async () => {
    const token = await tokenOf()
    const wrong = [
      [],
      ['kartoteka.1'],
      [`token.${token}`],
      ['kartoteka.1', 'token.'],
      ['kartoteka.1', `token.${token}x`],
      ['kartoteka.1', `token.${token.slice(0, -1)}`],
      ['kartoteka.1', token],
      ['kartoteka.1', `token.${freshCode()}`],
      ['kartoteka.1', `token.${server.linkToken}`],
      ['kartoteka.2', `token.${token}`],
      ['kartoteka.1', `token.${token}`, 'more'],
      ['kartoteka.1', proofProtocol(token, 'nonce')],
      ['kartoteka.1', `${proofProtocol(server.linkToken, 'nonce')}x`],
      ['kartoteka.1', 'proof..'],
    ]
    for (const protocols of wrong) expect((await dial({ protocols })).status).toBe(401)
  })
  it('needs an origin', async () => {
    const protocols = ['kartoteka.1', `token.${await tokenOf()}`].join(', ')
    const head = [
      'GET /link HTTP/1.1',
      `Host: ${host()}`,
      'Connection: Upgrade',
      'Upgrade: websocket',
      'Sec-WebSocket-Version: 13',
      'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
      `Sec-WebSocket-Protocol: ${protocols}`,
    ]
    const answer = (lines: string[]) =>
      new Promise<string>((resolve) => {
        const socket = connect(server.port, '127.0.0.1', () => socket.write(`${lines.join('\r\n')}\r\n\r\n`))
        socket.once('data', (data) => {
          resolve(data.toString().split('\r\n')[0] as string)
          socket.destroy()
        })
      })
    expect(await answer(head)).toContain('403')
    expect(await answer([...head, `Origin: ${own()}`])).toContain('101')
    expect(await answer([...head, 'Origin: http://evil.example'])).toContain('403')
    expect(await answer(['GET http://evil.example/ HTTP/1.1', ...head.slice(2)])).toMatch(/40/)
  })
  it('is on one path only, and not without an upgrade', async () => {
    const protocols = ['kartoteka.1', `token.${await tokenOf()}`]
    expect((await dial({ protocols, path: '/' })).status).toBe(404)
    expect((await ask('/link', { headers: sameOrigin() })).status).toBe(426)
  })
  it('ends when a message is not one of ours', async () => {
    const { socket } = await dial({ protocols: ['kartoteka.1', `token.${await tokenOf()}`] })
    socket.send('no json')
    socket.send(Buffer.alloc(3, 255))
    // It is ignored or ends this socket; either way the next one is served.
    expect((await ask('/')).status).toBe(200)
    socket.terminate()
  })
})

it('cuts its windows off while the device is made anew, and lets them go on with the new one', async () => {
  const before = await dial({ protocols: ['kartoteka.1', `token.${await tokenOf()}`] })
  const cut = new Promise((resolve) => before.socket.once('close', resolve))
  server.pause()
  await cut
  let isOpen = false
  const again = dial({ protocols: ['kartoteka.1', `token.${await tokenOf()}`] }).then((dialled) => {
    isOpen = true
    return dialled
  })
  expect((await ask('/')).status).toBe(200)
  await sleep(100)
  expect(isOpen).toBe(false)
  // One that waits holds up no end.
  const other = await createLocalServer({ device, folder: root, onStop: () => {} })
  other.pause()
  const unheard = new WebSocket(
    `ws://127.0.0.1:${other.port}/link`,
    ['kartoteka.1', proofProtocol(other.linkToken, 'n')],
    {
      origin: `http://127.0.0.1:${other.port}`,
    },
  )
  const failed = new Promise((resolve) => unheard.on('error', resolve))
  await sleep(100)
  await other.close()
  await failed
  server.resume(device)
  const { socket } = await again
  expect(socket.readyState).toBe(WebSocket.OPEN)
  socket.terminate()
})

describe('the port', () => {
  it('falls back when the preferred one is taken', async () => {
    const other = await createLocalServer({ device, folder: root, onStop: () => {} })
    expect(other.port).not.toBe(server.port)
    await other.close()
  })
  it('is exact when it is asked for', async () => {
    const wanted = { device, folder: root, onStop: () => {}, port: server.port }
    await expect(createLocalServer(wanted)).rejects.toMatchObject({ code: 'port-in-use' })
  })
  it('listens on 127.0.0.1 alone', async () => {
    const refused = await new Promise<string>((resolve) => {
      const socket = connect(server.port, '127.0.0.2', () => resolve('connected'))
      socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? ''))
    })
    expect(refused).toBe('ECONNREFUSED')
  })
})

describe('the peer', () => {
  it('is found in the tables of the kernel, IPv6 sockets included', () => {
    const head =
      '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode'
    const row = (local: string, remote: string, uid: number) =>
      `   0: ${local} ${remote} 01 00000000:00000000 00:00000000 00000000  ${uid}        0 587 1 0 100 0 0 10 0`
    const v4 = [head, row('0100007F:6F01', '0100007F:C350', 5), row('0100007F:C350', '0100007F:6F01', 1000)]
    expect(ownersOf(v4.join('\n')).get(keyOf(0xc350, 0x6f01))).toBe(1000)
    expect(ownersOf(v4.join('\n')).get(keyOf(0xc351, 0x6f01))).toBe(undefined)
    const mapped = '0000000000000000FFFF00000100007F'
    const v6 = [head, row(`${mapped}:C350`, `${mapped}:6F01`, 1001)]
    expect(ownersOf(v6.join('\n')).get(keyOf(0xc350, 0x6f01))).toBe(1001)
  })
  it.runIf(process.platform === 'linux' && process.getuid?.() === 0)(
    'of another user is cut off before it can ask',
    async () => {
      const script = `require('node:http').get('${own()}/', () => process.exit(7)).on('error', () => process.exit(8))`
      const as = (uid: number) =>
        new Promise<number | null>((resolve) => {
          spawn(process.execPath, ['-e', script], { uid, gid: uid, cwd: '/', env: {} }).on('exit', resolve)
        })
      expect(await as(0)).toBe(7)
      expect(await as(65534)).toBe(8)
    },
  )
})
