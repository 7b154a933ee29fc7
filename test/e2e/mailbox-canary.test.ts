/**
 * Blindness: what was typed on a device is nowhere at the relay, neither in its folder nor its memory nor its words,
 * nor on the wire to it. And where it is, the same scanner finds it.
 */
import { randomBytes } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { type AddressInfo, connect, createServer } from 'node:net'
import { join } from 'node:path'
import { constants, deflateRawSync, deflateSync, gzipSync } from 'node:zlib'
import { expect, it } from 'vitest'
import { nodeNatives } from '../../src/node/natives.js'
import { encodePayload } from '../../src/protocol/payload.js'
import { expectSameCases, importFull, show, startMailPair } from '../support/mail-pair.js'
import { afterwards, synced, tempFile, tempFolder, until } from '../support/processes.js'
import { Scanner } from '../support/scanner.js'
import { TcpProxy } from '../support/tcp-proxy.js'
import { fullCase } from '../support/workload.js'

const isLinux = process.platform === 'linux'

const letters = (count: number) =>
  Array.from(randomBytes(count), (byte) => String.fromCharCode(97 + (byte % 26))).join('')

/** Canaries of 24 random characters, for each place another one; what all have in common is looked for. */
function makeCanaries() {
  const stem = letters(16)
  return { stem, canary: () => stem + letters(8) }
}

it('finds a canary in every form that it can take, wherever it begins', () => {
  const { stem, canary } = makeCanaries()
  const scanner = new Scanner(stem)
  const secret = canary()
  const prose = JSON.stringify(fullCase(3))
  const text = Buffer.from(`${prose.slice(0, 700)} ${secret} ${prose.slice(700)}`)
  const utf16 = Buffer.from(text.toString(), 'utf16le')
  const forms: Record<string, Buffer> = {
    utf8: text,
    utf16,
    base64: Buffer.from(text.toString('base64')),
    base64b: Buffer.from(Buffer.concat([Buffer.from('x'), text]).toString('base64')),
    base64c: Buffer.from(Buffer.concat([Buffer.from('xy'), text]).toString('base64')),
    raw: deflateRawSync(text),
    fast: deflateRawSync(text, { level: 1 }),
    best: deflateRawSync(text, { level: 9 }),
    zlib: deflateSync(text),
    gzip: gzipSync(text),
    raw16: deflateRawSync(utf16),
    ofBase64: gzipSync(Buffer.from(text.toString('base64'))),
    fixed: deflateRawSync(Buffer.from(`a${secret}`), { strategy: constants.Z_FIXED }),
    short: deflateSync(Buffer.from(secret)),
    ours: Buffer.from(encodePayload(nodeNatives, text)),
    cutOff: deflateRawSync(text).subarray(0, -5),
  }
  for (const [name, bytes] of Object.entries(forms)) {
    const noise = Buffer.concat([randomBytes(1000 + name.length), bytes, randomBytes(1000)])
    expect([name, scanner.scan(noise).length > 0]).toEqual([name, true])
    expect(new Scanner(letters(16)).scan(noise)).toEqual([])
  }
  // A control folder: compressed, but unsealed.
  const folder = tempFolder()
  mkdirSync(join(folder, 'mail'))
  writeFileSync(join(folder, 'mail', '000005.ldb'), Buffer.concat([randomBytes(50_001), forms.ours!]))
  expect(scanner.scanFolder(folder)).not.toEqual([])
  const named = tempFolder()
  writeFileSync(join(named, secret), '')
  expect(scanner.scanFolder(named)).not.toEqual([])
})

it.skipIf(!isLinux)(
  'is blind: a canary is nowhere in folder, memory and words of the relay, nor on the wire to it',
  async () => {
    const { stem, canary } = makeCanaries()
    const scanner = new Scanner(stem)
    await expectTapHears(scanner, canary())
    const names = { practice: canary(), desk: canary(), laptop: canary() }
    let proxy: TcpProxy | undefined
    const { relay, desk, laptop } = await startMailPair({
      names,
      pin: canary(),
      async via(address) {
        const [, port] = /\/tcp\/(\d+)\//.exec(address)!
        proxy = await TcpProxy.open(Number(port))
        return address.replace(`/tcp/${port}/`, `/tcp/${proxy.port}/`)
      },
    })
    await laptop.stop()
    const id = canary()
    await desk.ok('case', 'import', tempFile('case.jsonl', caseWith(id, canary)))
    await desk.ok('case', 'type', id, '--in', 'c', '--at', '5', '--text', ` ${canary()} `)
    await desk.ok('case', 'set', id, `patient.phone=${canary()}`)
    await importFull(desk, 20)
    await synced(desk)
    expect((await show(desk)).pendingTotal).toBeGreaterThan(0)
    // While it waits, and after it was fetched.
    const relayFolder = scanner.scanFolder(relay.folder)
    const relayMemory = scanner.scanProcess(relay.pid)
    expect({ relayFolder, relayMemory }).toEqual({ relayFolder: [], relayMemory: [] })
    // A device holds it, and that is found: in memory; and in its store it is sealed.
    expect(scanner.scanProcess(desk.pid)).not.toEqual([])
    expect(scanner.scanFolder(desk.folder)).toEqual([])
    await desk.stop()
    await laptop.start()
    await synced(laptop)
    expect(await expectSameCases(laptop, desk, 21)).toContain(id)
    await until(async () => (await show(laptop)).pendingTotal === 0)
    const after = { folder: scanner.scanFolder(relay.folder), memory: scanner.scanProcess(relay.pid) }
    expect(after).toEqual({ folder: [], memory: [] })
    await laptop.stop()
    const { stdout, stderr } = await relay.stop()
    expect(scanner.scan(Buffer.from(stdout + stderr))).toEqual([])
    const wire = proxy!.captured
    expect(wire.length).toBeGreaterThan(50_000)
    expect(scanner.scan(wire)).toEqual([])
  },
)

function caseWith(id: string, canary: () => string): string {
  const text = `${canary()} ${fullCase(5).consultations[0]!.text} ${canary()}`
  return JSON.stringify({
    ...fullCase(5),
    id,
    patient: {
      firstName: canary(),
      lastName: canary(),
      birthDate: '1980-01-01',
      email: `${canary()}@example.pl`,
    },
    tags: [canary()],
    drawer: canary(),
    consultations: [{ id: 'c', date: '2026-01-01', kind: 'first', text, marks: [[0, 24, 'bold']] }],
    [canary()]: canary(),
  })
}

/** The tap itself hears what goes through it unsealed. */
async function expectTapHears(scanner: Scanner, secret: string): Promise<void> {
  const server = createServer((socket) => {
    socket.on('error', () => {})
    socket.pipe(socket)
  }).listen(0, '127.0.0.1')
  afterwards(() => server.close())
  await new Promise((resolve) => server.once('listening', resolve))
  const tap = await TcpProxy.open((server.address() as AddressInfo).port)
  const socket = connect(tap.port, '127.0.0.1')
  // The tap hangs up when either end does.
  socket.on('error', () => {})
  socket.end(deflateRawSync(Buffer.from(`${JSON.stringify(fullCase(2))} ${secret}`)))
  await new Promise((resolve) => socket.resume().once('close', resolve))
  expect(scanner.scan(tap.captured)).not.toEqual([])
}
