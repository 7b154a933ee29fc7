/** The local link: whatever comes over its socket or as a request, with a real device behind it. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isContractProcedure } from '@orpc/contract'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { WebSocket } from 'ws'
import type { Device } from '../../src/node/api.js'
import { contract } from '../../src/node/contract.js'
import { createDevice } from '../../src/node/device.js'
import { createLocalServer, type LocalServer } from '../../src/node/local-server.js'
import { createSecret, proofProtocol } from '../../src/node/local-server-proof.js'
import type { Random } from '../support/random.js'
import { ARE_MANY, expectBoth, fuzz, HANG_MS, type Outcome } from './fuzz.js'
import { mutated } from './mutate.js'
import { type Json, mutatedJson } from './mutate-json.js'

/** A conversation with a whole device. */
const SHARE = 1 / 40
/** One input in so many comes over a fresh socket. */
const PER_SOCKET = 40
const PATIENCE_MS = 200
/** Requests that are under way together: what is not whole waits for more. */
const AT_ONCE = 25

let root: string
let device: Device
let server: LocalServer
const logged: string[] = []

beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), 'kartoteka-fuzz-'))
  device = await createDevice({ folder: root, network: false })
  await device.practice.create({ name: 'Gabinet', device: 'Desk', pin: 'tulipan-7' })
  await device.cases.create({ json: JSON.stringify(CASE) })
  const log = (line: string) => logged.push(line)
  writeFileSync(join(root, 'index.html'), '<!doctype html>')
  server = await createLocalServer({ device, folder: root, windowFolder: root, onStop: () => {}, log })
})
afterAll(async () => {
  await server.close()
  await device.close()
  rmSync(root, { recursive: true, force: true })
})

const id = 'case1'
const CASE = {
  id,
  patient: { lastName: 'Nowak', firstName: 'Ewa', phone: '1' },
  consultations: [{ id: 'c0', date: '2026-01-02', text: 'ból głowy' }],
}
/** An input that fits for each procedure that takes one. */
const INPUTS: Record<string, Json> = {
  'practice/create': { name: 'Gabinet', device: 'Desk', pin: 'tulipan-7' },
  'practice/join': {
    code: 'x',
    relays: ['/ip4/127.0.0.1/tcp/1'],
    addresses: [],
    device: 'D',
    pin: 'tulipan-7',
  },
  'practice/checkPin': { pin: '123456', practice: 'Gabinet' },
  'practice/choosePin': { pin: 'tulipan-7' },
  'mailbox/on': { relays: ['/ip4/127.0.0.1/tcp/1'] },
  'mailbox/forget': { relay: '/ip4/127.0.0.1/tcp/1' },
  'mailbox/test': { address: '/ip4/127.0.0.1/tcp/1' },
  'carry/in': { file: 'a', data: 'a2FydG90ZWthIGNhcnJ5IDEK', last: true },
  'device/rename': { id: '12D3KooW', name: 'Desk' },
  'device/address': { id: '12D3KooW', addresses: ['/ip4/127.0.0.1/tcp/1'] },
  'device/invite': { pin: 'tulipan-7', minutes: 10, yes: false },
  'device/answer': { add: true },
  'cases/list': { drawer: 'n', match: 'ewa', deleted: false },
  'cases/show': { id },
  'cases/create': { json: JSON.stringify({ ...CASE, id: 'case2' }) },
  'cases/set': {
    id,
    fields: [
      ['patient.phone', '2'],
      ['patient.lastName', 'Ł'],
    ],
  },
  'cases/choose': { id, field: 'patient.phone', json: '"2"' },
  'cases/add': { id, kind: 'consultation', json: JSON.stringify({ date: '2026-01-03', text: 'x' }) },
  'cases/remove': { id, list: 'consultations', record: 'c0' },
  'cases/type': { id, consultation: 'c0', at: 1, erase: 1, text: 'abc' },
  'cases/archive': { ids: [id] },
  'cases/unarchive': { ids: [id] },
  'cases/delete': { ids: [id] },
  'cases/restore': { ids: [id] },
  'cases/import': { lines: [{ line: 1, text: JSON.stringify({ ...CASE, id: 'case3' }) }], preview: false },
  'cases/export': { only: [id], after: 'a' },
  search: { text: 'ból' },
  'doc/open': { id },
  'doc/update': { id, update: 'AAA=' },
  wait: { for: 'idle', timeoutSeconds: 0 },
  'config/set': { key: 'language', value: 'pl' },
}

function procedures(node: object, prefix = ''): { path: string; takesInput: boolean }[] {
  return Object.entries(node).flatMap(([key, child]: [string, object]) =>
    isContractProcedure(child)
      ? [{ path: prefix + key, takesInput: child['~orpc'].inputSchema !== undefined }]
      : procedures(child, `${prefix}${key}/`),
  )
}
const ALL = procedures(contract)

/** `id` is not part of what is mutated by structure, so that the answer is known as one. */
interface Input {
  frame: string | Uint8Array
  number: string
}

let count = 0
function make(random: Random): Input {
  const { path } = random.pick(ALL)
  const number = `q${count++}`
  const body: Json = { json: INPUTS[path] ?? null, meta: [] }
  const way = random()
  let request: string
  if (way < 0.7) {
    request = `{"i":"${number}","p":{"u":"/${path}","b":{"json":${mutatedJson(random, body.json as Json)}}}}`
  } else {
    const meta: Json = [random.int(0, 8), random.pick(['name', '__proto__', 'ids', 0, 'constructor'])]
    const more: Json = { ...body, ...(random() < 0.5 ? { meta: [meta] } : {}) }
    const headers: Json = random() < 0.3 ? { 'content-disposition': 'attachment; filename="x"' } : {}
    request = mutatedJson(random, {
      i: number,
      t: random.pick([1, 3, 4]),
      p: { u: `/${path}`, b: more, h: headers },
    })
  }
  if (random() < 0.15) request = Buffer.from(mutated(random, [Buffer.from(request)])).toString('utf8')
  if (random() < 0.9) return { frame: request, number }
  const tail = random() < 0.5 ? [255, ...random.bytes(random.int(0, 100))] : []
  return { frame: Uint8Array.from([...Buffer.from(request), ...tail]), number }
}

class Talker {
  private readonly answers = new Map<string, string>()
  private waiting: (() => void) | undefined
  isOpen = true
  sent = 0

  private constructor(private readonly socket: WebSocket) {
    socket.on('message', (data) => {
      const text = String(data)
      const number = /^\{"i":"(\w+)"/.exec(text)?.[1]
      if (number && !this.answers.has(number)) this.answers.set(number, text)
      this.waiting?.()
    })
    socket.on('error', () => {})
    socket.on('close', () => {
      this.isOpen = false
      this.waiting?.()
    })
  }

  static async open(): Promise<Talker> {
    const protocols = ['kartoteka.1', proofProtocol(server.linkToken, createSecret())]
    const origin = `http://127.0.0.1:${server.port}`
    const socket = new WebSocket(`ws://127.0.0.1:${server.port}/link`, protocols, {
      origin,
      perMessageDeflate: false,
    })
    await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject))
    return new Talker(socket)
  }

  send(frame: string | Uint8Array): void {
    this.sent++
    this.socket.send(frame)
  }

  /** The answer, or undefined when the device has hung up or says nothing for so long. */
  async answer(number: string, patienceMs: number): Promise<string | undefined> {
    const until = performance.now() + patienceMs
    while (this.isOpen && !this.answers.has(number) && performance.now() < until) {
      await new Promise<void>((resolve) => {
        this.waiting = resolve
        setTimeout(resolve, Math.max(1, until - performance.now()))
      })
    }
    return this.answers.get(number)
  }

  known(number: string): string | undefined {
    return this.answers.get(number)
  }

  close(): void {
    this.socket.terminate()
  }
}

test('messages over the local socket', async () => {
  for (const { path, takesInput } of ALL)
    expect([path, Object.hasOwn(INPUTS, path)]).toEqual([path, takesInput])
  let talker = await Talker.open()
  const other = await Talker.open()
  const tally = await fuzz<Input>({
    name: 'local messages',
    share: SHARE,
    make,
    show: ({ frame }) => (typeof frame === 'string' ? frame : Buffer.from(frame).toString('hex')),
    run: async ({ frame, number }): Promise<Outcome> => {
      if (talker.sent > 2 * PER_SOCKET || !talker.isOpen) {
        talker.close()
        talker = await Talker.open()
      }
      talker.send(frame)
      // Whatever becomes of it, the next question is answered; a frame without a number loses those of its own socket.
      const next = `n${number}`
      const question = `{"i":"${next}","p":{"u":"/about"}}`
      talker.send(question)
      if (!(await talker.answer(next, PATIENCE_MS))?.includes('"addresses"')) {
        talker.close()
        other.send(question)
        const answered = await other.answer(next, HANG_MS)
        if (!answered?.includes('"addresses"')) throw new Error(`no answer: ${answered}`)
      }
      const [bug] = logged.splice(0)
      if (bug) throw new Error(bug)
      if (Object.keys(Object.prototype).length > 0) throw new Error('every object has changed')
      const answer = talker.known(number)
      if (answer?.includes('INTERNAL_SERVER_ERROR')) throw new Error(answer)
      return answer && !/"s":[45]/.test(answer) ? 'value' : 'error'
    },
  })
  for (const each of [talker, other]) each.close()
  expectBoth(tally)
  expect(await device.cases.show({ id })).toHaveProperty('json')
})

test('a value of a conflict that is no JSON is refused in a sentence', async () => {
  const choose = device.cases.choose({ id, field: 'patient.phone', json: 'ł' })
  await expect(choose).rejects.toMatchObject({ code: 'not-accepted', sentence: expect.stringMatching(/\.$/) })
})

interface Request {
  line: string
  headers: [string, string][]
  body: string
}
const HEADERS = ['Host', 'Origin', 'Content-Type', 'Content-Length', 'Transfer-Encoding', 'Upgrade', 'Expect']
const WORDS = [
  '',
  '0',
  '-1',
  '1e9',
  'null',
  'chunked',
  'websocket',
  '*',
  '..',
  '%2e%2e',
  'a'.repeat(9_000),
  '\u00ff',
]

function requests(): Request[] {
  const host = `127.0.0.1:${server.port}`
  const own: [string, string][] = [
    ['Host', host],
    ['Origin', `http://${host}`],
  ]
  const json: [string, string][] = [...own, ['Content-Type', 'application/json']]
  const upgrade: [string, string][] = [
    ...own,
    ...([
      ['Connection', 'Upgrade'],
      ['Upgrade', 'websocket'],
      ['Sec-WebSocket-Version', '13'],
    ] as [string, string][]),
    ['Sec-WebSocket-Key', 'AAAAAAAAAAAAAAAAAAAAAA=='],
    ['Sec-WebSocket-Protocol', 'kartoteka.1, token.x'],
  ]
  return [
    { line: 'GET / HTTP/1.1', headers: own, body: '' },
    {
      line: 'GET /assets/../keys.json?x HTTP/1.1',
      headers: [...own, ['Sec-Fetch-Site', 'same-origin']],
      body: '',
    },
    { line: 'POST /token HTTP/1.1', headers: json, body: '{"code":"abc"}' },
    { line: 'GET /link HTTP/1.1', headers: upgrade, body: '' },
  ]
}

/** A few changes of its parts, and once in a while of its bytes. */
function mutatedRequest(random: Random, corpus: readonly Request[]): Uint8Array {
  let { line, headers, body } = random.pick(corpus)
  if (body !== '')
    body = random() < 0.5 ? mutatedJson(random, JSON.parse(body)) : body.repeat(random.int(0, 100))
  if (body !== '') headers = [...headers, ['Content-Length', String(Buffer.byteLength(body))]]
  while (random() < 0.5) {
    const at = random.int(0, headers.length - 1)
    const header: [string, string] = [random.pick(HEADERS), random.pick(WORDS)]
    const way = random.int(0, 3)
    if (way === 0) headers = headers.toSpliced(at, 1)
    if (way === 1) headers = headers.toSpliced(at, 0, header)
    if (way === 2) headers = headers.with(at, [headers[at]![0], header[1]])
    if (way === 3) line = line.replace(random.pick(['GET', 'POST', '/', 'HTTP']), random.pick(WORDS))
    if (headers.length === 0) break
  }
  const text = `${[line, ...headers.map((pair) => pair.join(': '))].join('\r\n')}\r\n\r\n${body}`
  const bytes = Buffer.from(text, 'latin1')
  return random() < 0.8 ? bytes : mutated(random, [bytes])
}

test('requests to the local port', async () => {
  const corpus = requests()
  const ask = (bytes: Uint8Array) =>
    new Promise<string>((resolve, reject) => {
      const parts: Buffer[] = []
      const socket = connect(server.port, '127.0.0.1', () => socket.write(bytes))
      // What is not whole waits for more until we hang up.
      const enough = setTimeout(() => socket.end(), PATIENCE_MS)
      socket.on('data', (part) => {
        clearTimeout(enough)
        parts.push(part)
        socket.end()
      })
      socket.on('error', () => {})
      socket.setTimeout(HANG_MS, () => reject(new Error('no end')))
      socket.on('close', () => resolve(Buffer.concat(parts).toString('latin1')))
    })
  let answered = 0
  const tally = await fuzz({
    name: 'local requests',
    share: SHARE / AT_ONCE,
    make: (random) => Array.from({ length: AT_ONCE }, () => mutatedRequest(random, corpus)),
    show: (all) => all.map((bytes) => Buffer.from(bytes).toString('hex')).join(' '),
    run: async (all): Promise<Outcome> => {
      for (const answer of await Promise.all(all.map(ask))) {
        if (answer.includes('ed25519') || /^HTTP\/1.1 (101|5)/.test(answer)) throw new Error(answer)
        if (answer.startsWith('HTTP/1.1 2')) answered++
      }
      const [bug] = logged.splice(0)
      if (bug) throw new Error(bug)
      return 'value'
    },
  })
  if (!ARE_MANY) return
  expect(answered).toBeGreaterThan((tally.value * AT_ONCE) / 100)
  expect(answered).toBeLessThan((tally.value * AT_ONCE) / 2)
})
