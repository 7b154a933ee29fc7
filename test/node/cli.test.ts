import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { createORPCClient } from '@orpc/client'
import { RPCLink } from '@orpc/client/websocket'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { WebSocket } from 'ws'
import { type DeviceOptions, Refused } from '../../src/node/api.js'
import type { Surroundings } from '../../src/node/cli/call.js'
import { BATCH_LINES } from '../../src/node/cli/case-import.js'
import { caseText } from '../../src/node/cli/case-text.js'
import { readLines } from '../../src/node/cli/lines.js'
import { run } from '../../src/node/cli/program.js'
import { printable, table } from '../../src/node/cli/text.js'
import type { Client } from '../../src/node/router.js'
import { createFakeDevice, type FakeDevice } from './fake-device.js'

let folder: string
let data: string
let devices: FakeDevice[]
let windows: string[]

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'kartoteka-cli-'))
  data = join(folder, 'data')
  devices = []
  windows = []
})
afterEach(() => rmSync(folder, { recursive: true }))

interface Outcome {
  code: number
  out: string
  err: string
}
interface Running {
  done: Promise<Outcome>
  signal(): void
  out(): string
  err(): string
}

function begin(args: string[], input = '', more: Partial<Surroundings> = {}): Running {
  let [out, err] = ['', '']
  const handlers = new Set<() => void>()
  const around: Surroundings = {
    env: { KARTOTEKA_DATA: data },
    stdin: Readable.from(input === '' ? [] : [Buffer.from(input)]),
    out: async (text) => {
      out += text
    },
    err: (text) => {
      err += text
    },
    createDevice: async (options) => {
      const device = await createFakeDevice(options)
      devices.push(device)
      return device
    },
    openWindow: async ({ url }) => {
      windows.push(url)
      return 'app'
    },
    onSignal: (handler) => {
      handlers.add(handler)
      return () => handlers.delete(handler)
    },
    ...more,
  }
  return {
    done: run(args, around, '1.2.3').then((code) => ({ code, out, err })),
    signal: () => {
      for (const handler of handlers) handler()
    },
    out: () => out,
    err: () => err,
  }
}
const kartoteka = (args: string[], input?: string) => begin(args, input).done
/** One JSON value on one line, and nothing else. */
const json = async (...args: string[]) => {
  const { code, out } = await kartoteka([...args, '--json'])
  expect(out).toMatch(/^[^\n]+\n$/)
  return { code, value: JSON.parse(out) }
}
const file = (name: string, content: string | Buffer) => {
  writeFileSync(join(folder, name), content)
  return join(folder, name)
}
const until = async (condition: () => boolean) => {
  for (let tries = 0; tries < 300 && !condition(); tries++) await sleep(10)
  expect(condition()).toBe(true)
}

describe('usage', () => {
  it.each([
    [['frobnicate']],
    [['case']],
    [['case', 'frobnicate']],
    [['case', 'show']],
    [['case', 'show', 'a', 'b']],
    [['case', 'set', 'a', 'nothing']],
    [['case', 'set', 'a', '=x']],
    [['case', 'add', 'a', 'letter', '--json-file', 'f']],
    [['case', 'type', 'a', '--in', 'c', '--at', '-1']],
    [['case', 'import', 'f', '--format', 'csv']],
    [['status', '--wait', 'later']],
    [['status', '--wait', 'idle', '--timeout', 'soon']],
    [['start', '--port', '70000']],
    [['--frobnicate']],
    [['device', 'invite']],
    [['device', 'invite', '--pin-file', 'f', '--minutes', '0']],
    [['practice', 'create', '--name', 'x']],
    [['config', 'set', 'key']],
  ])('is wrong: %s', async (args) => {
    const plain = await kartoteka(args)
    expect(plain.code).toBe(2)
    expect(plain.out).toBe('')
    expect(plain.err).not.toBe('')
    const { code, value } = await json(...args)
    expect(code).toBe(2)
    expect(value.error.code).toBe('usage')
    expect(devices).toEqual([])
  })
  it('is shown', async () => {
    expect(await kartoteka(['--help'])).toMatchObject({ code: 0, err: '' })
    expect((await kartoteka(['--help'])).out).toContain('practice')
    expect((await kartoteka(['case', '--help'])).out).toContain('import')
    expect(await kartoteka(['--version'])).toEqual({ code: 0, out: '1.2.3\n', err: '' })
  })
  it('leaves out what comes later', async () => {
    const { out } = await kartoteka(['--help'])
    for (const later of ['recovery', 'backup', 'safety-copy', 'pin ']) expect(out).not.toContain(`  ${later}`)
  })
})

describe('the cloud mailbox', () => {
  it('goes on and off', async () => {
    expect(await json('mailbox', 'on', '/dns4/r/tcp/1/p2p/a', '/dns4/s/tcp/1/p2p/b')).toMatchObject({
      code: 0,
      value: { ok: true },
    })
    expect(await json('mailbox', 'off')).toMatchObject({ code: 0 })
    expect(devices.flatMap(({ calls }) => calls)).toEqual(
      expect.arrayContaining(['mailbox on /dns4/r/tcp/1/p2p/a /dns4/s/tcp/1/p2p/b', 'mailbox off']),
    )
    expect(devices.every(({ options }) => options.network)).toBe(true)
  })
  it('shows what is held, in text and as the contract has it', async () => {
    const { out } = await kartoteka(['mailbox', 'show'])
    expect(out).toContain('for Laptop  3 items  1.5 kB  oldest 2 hours')
    const { value } = await json('mailbox', 'show')
    expect(value).toMatchObject({
      pendingTotal: 3,
      relays: [{ safetyCopy: { count: 0, bytes: 0 }, record: null }],
    })
  })
  it('is carried by file, out and in', async () => {
    const path = join(folder, 'stick')
    expect(await json('carry', 'out', path)).toMatchObject({ code: 0, value: { bytes: 7 } })
    expect(readFileSync(path, 'utf8')).toBe('carried')
    const { code, value } = await json('carry', 'in', path)
    expect({ code, value }).toEqual({ code: 0, value: { envelopes: 1, taken: 1, received: 2 } })
    expect(devices.at(-1)?.calls).toEqual(
      expect.arrayContaining(['carry in carried false', 'carry in  true']),
    )
    const missing = await json('carry', 'in', join(folder, 'nothing'))
    expect(missing.value.error.sentence).toMatch(/no such file/)
  })
  it('is carried without a damaged case, which is named, and not in the place of a file that may have it', async () => {
    await json('case', 'import', file('in.jsonl', '{"id":"damaged-1"}\n'))
    const path = join(folder, 'stick')
    const { code, value } = await json('carry', 'out', path)
    expect([code, value.error.code]).toEqual([1, 'store-damaged'])
    expect(value.error.sentence).toContain('damaged-1')
    expect(readFileSync(path, 'utf8')).toBe('carried')
    writeFileSync(path, 'earlier')
    expect((await json('carry', 'out', path)).code).toBe(1)
    expect(readFileSync(path, 'utf8')).toBe('earlier')
  })
})

describe('one-shot commands', () => {
  it('run the device for their own duration, flush, and release the folder', async () => {
    const { code, value } = await json('case', 'new')
    expect(code).toBe(0)
    expect(typeof value.id).toBe('string')
    expect(devices[0]?.options).toMatchObject({ folder: data, network: false })
    expect(devices[0]?.calls.at(-1)).toBe('flush')
    expect(existsSync(join(data, 'fake.lock'))).toBe(false)
  })
  it('take the network only when they need other devices', async () => {
    const pin = file('pin', '1234567')
    for (const args of [
      ['sync'],
      ['verify'],
      ['status', '--wait', 'idle'],
      ['practice', 'join', '--device', 'B', '--pin-file', pin],
    ])
      await kartoteka(args)
    expect(devices.map((device) => device.options.network)).toEqual([true, true, true, true])
  })
  it('use the folder they are given', async () => {
    await kartoteka(['status', '--data', join(folder, 'elsewhere')])
    expect(devices[0]?.options.folder).toBe(join(folder, 'elsewhere'))
  })
  it('wait for each other', async () => {
    const holder = await createFakeDevice({ folder: data })
    const second = begin(['status', '--json'])
    await sleep(300)
    expect(second.out()).toBe('')
    await holder.close()
    expect((await second.done).code).toBe(0)
  })
  it('say in one sentence why they were refused', async () => {
    const plain = await kartoteka(['case', 'show', 'none'])
    expect(plain).toEqual({ code: 1, out: '', err: 'There is no case none.\n' })
    const { code, value } = await json('case', 'show', 'none')
    expect(code).toBe(1)
    expect(value).toEqual({ error: { code: 'no-case', sentence: 'There is no case none.' } })
  })
  it('pass on why the device could not run', async () => {
    const refuse = async () => {
      throw new Refused('newer-store', 'Saved by a newer version.')
    }
    const outcome = await begin(['status', '--json'], '', { createDevice: refuse }).done
    expect(outcome.code).toBe(1)
    expect(JSON.parse(outcome.out).error.code).toBe('newer-store')
  })
  it('end cleanly when they are interrupted', async () => {
    const pin = file('pin', '1234567')
    const running = begin(['device', 'invite', '--pin-file', pin])
    await until(() => running.out() !== '')
    running.signal()
    expect((await running.done).code).toBe(1)
    expect(existsSync(join(data, 'fake.lock'))).toBe(false)
  })
})

describe('secrets', () => {
  const create = ['practice', 'create', '--name', 'P', '--device', 'A', '--pin-file']
  it.each([
    ['482915', '482915'],
    ['482915\n', '482915'],
    ['482915\r\n', '482915'],
    ['482915\n\n', '482915\n'],
    [' zażółć ', ' zażółć '],
  ])('lose one line break: %j', async (content, pin) => {
    await kartoteka([...create, file('pin', content)])
    expect(devices[0]?.calls[0]).toBe(`create P A ${JSON.stringify(pin)}`)
  })
  it('come from standard input', async () => {
    expect((await kartoteka([...create, '-'], '482915\n')).code).toBe(0)
    expect(devices[0]?.calls[0]).toBe('create P A "482915"')
  })
  it('may be left out of a new practice', async () => {
    const { value } = await json('practice', 'create', '--name', 'P', '--device', 'A')
    expect(Object.keys(value)).toEqual(['practice', 'device'])
    expect(devices[0]?.calls[0]).toBe('create P A undefined')
  })
  it('must be readable text', async () => {
    expect((await json(...create, join(folder, 'none'))).value.error.code).toBe('file')
    expect((await json(...create, file('raw', Buffer.from([255, 254])))).value.error.code).toBe('not-text')
    expect((await json(...create, file('long', 'x'.repeat(5000)))).value.error.code).toBe('file-too-long')
    expect(devices).toEqual([])
  })
})

describe('practice and devices', () => {
  it('join with what is known', async () => {
    const args = ['practice', 'join', 'aaaabbbb', '--relay', '/r1', '--relay', '/r2', '--address', '/a']
    await json(...args, '--device', 'B', '--pin-file', file('pin', '482915'))
    expect(JSON.parse(devices[0]!.calls[0]!.slice(5))).toEqual({
      code: 'aaaabbbb',
      relays: ['/r1', '/r2'],
      addresses: ['/a'],
      device: 'B',
      pin: '482915',
    })
  })
  it('show codes and devices', async () => {
    expect((await json('practice', 'code')).value).toEqual({
      code: 'AAAA-BBBB',
      invitation: 'kartoteka:AAAA-BBBB',
    })
    expect((await json('device', 'list')).value[0]).toMatchObject({ self: true, removed: false })
    await json('device', 'rename', 'x', 'Desk')
    expect((await kartoteka(['device', 'list'])).out).toContain('Desk')
    expect((await json('device', 'address', 'x', '/a', '/b')).value).toEqual({ ok: true })
    expect(devices.at(-1)?.calls[0]).toBe('address {"id":"x","addresses":["/a","/b"]}')
  })
})

describe('device invite without a running device', () => {
  const invite = (...more: string[]) => ['device', 'invite', '--pin-file', file('pin', '482915'), ...more]
  it('prints its result first and stays until the window is used', async () => {
    const running = begin(invite('--json', '--yes', '--minutes', '3'))
    await until(() => running.out() !== '')
    expect(JSON.parse(running.out())).toEqual({
      code: 'AAAA-BBBB',
      invitation: 'kartoteka:AAAA',
      expiresAt: 1,
      triesLeft: 5,
    })
    const device = devices[0] as FakeDevice
    expect(device.calls[0]).toBe('invite "482915" 3 true')
    device.knock('Laptop')
    await sleep(300)
    expect(device.calls).not.toContain('answer true')
    await device.device.answer({ add: true })
    const outcome = await running.done
    expect(outcome.code).toBe(0)
    expect(outcome.out.trim().split('\n')).toHaveLength(1)
    expect(device.calls).toContain('wait synced 5')
  })
  it.each([
    ['Add\n', 'answer true', 0],
    ['what?\ny\n', 'answer true', 0],
    ['not mine\n', 'answer false', 1],
    ['', 'answer false', 1],
  ])('asks on the terminal: %j', async (typed, call, code) => {
    const running = begin(invite(), typed)
    await until(() => running.out() !== '')
    devices[0]?.knock('Lap\u001b[2Jtop')
    const outcome = await running.done
    expect(outcome.err).toContain('Lap[2Jtop wants to join: Add / Not mine?')
    expect(devices[0]?.calls).toContain(call)
    expect(outcome.code).toBe(code)
  })
  it('fails when nobody came', async () => {
    for (const closed of ['expired', 'tries'] as const) {
      const before = devices.length
      const running = begin(invite('--yes'))
      await until(() => running.out() !== '')
      const device = devices[before] as FakeDevice
      device.invite = { ...device.invite, open: false, closed }
      expect((await running.done).code).toBe(1)
    }
  })
})

describe('cases', () => {
  const odd = '{"id":"__proto__",  "__proto__":{"a":1},"n":1.0}'
  it('show the device’s own text', async () => {
    const { id } = (await json('case', 'new', '--json-file', file('case.json', odd))).value
    expect(await kartoteka(['case', 'show', id, '--json'])).toEqual({ code: 0, out: `${odd}\n`, err: '' })
  })
  it('are edited', async () => {
    const { id } = (await json('case', 'new')).value
    expect((await json('case', 'set', id, 'patient.phone=a=b', 'drawer=')).value).toEqual({ ok: true })
    expect(JSON.parse((await kartoteka(['case', 'show', id, '--json'])).out)).toEqual({
      'patient.phone': 'a=b',
      drawer: '',
    })
    const note = file('note.json', '{"text":"x"}')
    expect((await json('case', 'add', id, 'consultation', '--json-file', note)).value).toEqual({
      id: 'record-1',
    })
    await kartoteka(['case', 'type', id, '--in', 'c', '--at', '3', '--erase', '1', '--text', '-x'])
    expect(devices.at(-1)?.calls[0]).toBe(
      `type ${JSON.stringify({ id, consultation: 'c', at: 3, erase: 1, text: '-x' })}`,
    )
  })
  it('live, rest and return', async () => {
    const { id } = (await json('case', 'new')).value
    const list = async (...more: string[]) => (await json('case', 'list', ...more)).value
    await kartoteka(['case', 'archive', id])
    expect(await list()).toMatchObject([{ id, archived: true }])
    await kartoteka(['case', 'unarchive', id])
    await kartoteka(['case', 'delete', id])
    expect(await list()).toEqual([])
    expect(await list('--deleted')).toMatchObject([{ id, deleted: true, archived: false }])
    await kartoteka(['case', 'restore', id])
    expect(await list()).toMatchObject([{ id, deleted: false }])
  })
  it('take an id that looks like a flag after --', async () => {
    const { value } = await json('case', 'list')
    expect(value).toEqual([])
    const refused = await kartoteka(['case', 'show', '--json', '--', '--data'])
    expect(JSON.parse(refused.out).error.sentence).toBe('There is no case --data.')
  })
  it('are found', async () => {
    await kartoteka(['case', 'new', '--json-file', file('c', '{"id":"1","a":"łuk"}')])
    expect((await json('search', 'łuk')).value).toMatchObject([{ in: 'patient', snippet: 'łuk' }])
  })
})

describe('import and export', () => {
  const lines = (count: number) =>
    Array.from({ length: count }, (_, i) => `{"id":"c${String(i).padStart(6, '0')}", "n":1.0}`)
  it('go through unchanged, in batches', async () => {
    const content = `${lines(2 * BATCH_LINES + 1).join('\n')}\n`
    const { code, value } = await json('case', 'import', file('in.jsonl', content))
    expect(code).toBe(0)
    expect(value).toEqual({ added: 2 * BATCH_LINES + 1, merged: 0, unchanged: 0, errors: [] })
    expect(devices[0]?.calls).toEqual([`import ${BATCH_LINES}`, `import ${BATCH_LINES}`, 'import 1', 'flush'])
    const out = join(folder, 'out.jsonl')
    expect((await json('case', 'export', out)).value).toEqual({ cases: 2 * BATCH_LINES + 1 })
    expect(readFileSync(out, 'utf8')).toBe(content)
    expect(statSync(out).mode & 0o777).toBe(0o600)
    expect((await kartoteka(['case', 'export', '-', '--only', 'c000001', 'c000003'])).out).toBe(
      `${lines(4)[1]}\n${lines(4)[3]}\n`,
    )
  })
  it('report broken lines by their numbers in the file, and import the others', async () => {
    const content = Buffer.concat([
      Buffer.from('\ufeff{"id":"a"}\r\n\n  \nno json\n{"id":"b"}\n'),
      Buffer.from([0x22, 0xff, 0x22, 0x0a]),
      Buffer.from('{"id":7}\n{"id":"ż"}'),
    ])
    const { code, value } = await json('case', 'import', file('in.jsonl', content))
    expect(code).toBe(1)
    expect(value.added).toBe(3)
    expect(value.errors.map(({ line }: { line: number }) => line)).toEqual([4, 6, 7])
    expect((await json('case', 'list')).value.map(({ id }: { id: string }) => id)).toEqual(['a', 'b', 'ż'])
  })
  it('say which cases can’t be read, and put no file without them in the place of one that may have them', async () => {
    await json('case', 'import', file('in.jsonl', '{"id":"a"}\n{"id":"damaged-1"}\n{"id":"z"}\n'))
    const out = join(folder, 'out.jsonl')
    const { code, value } = await json('case', 'export', out)
    expect([code, value.error.code]).toEqual([1, 'store-damaged'])
    expect(value.error.sentence).toContain('damaged-1')
    expect(readFileSync(out, 'utf8')).toBe('{"id":"a"}\n{"id":"z"}\n')
    writeFileSync(out, 'earlier')
    expect((await json('case', 'export', out)).value.error.sentence).toContain('stays as it is')
    expect(readFileSync(out, 'utf8')).toBe('earlier')
    const piped = await kartoteka(['case', 'export', '-'])
    expect(piped).toMatchObject({ code: 1, out: '{"id":"a"}\n{"id":"z"}\n' })
    expect(piped.err).toContain('damaged-1')
  })
  it('preview', async () => {
    const { value } = await json('case', 'import', '--preview', file('in.jsonl', '{"id":"a"}'))
    expect(value.added).toBe(1)
    expect((await json('case', 'list')).value).toEqual([])
  })
  it('say what they replace, or would', async () => {
    const newer = '{"id":"a","note":"newer"}'
    await json('case', 'import', file('in.jsonl', newer))
    const older = file('older.jsonl', '\n{"id":"a"}\n')
    const previewed = await kartoteka(['case', 'import', '--preview', older])
    expect(previewed.out).toContain(`Line 2: all of a would no longer say: ${newer}\n`)
    const told = await json('case', 'import', older)
    expect(told).toMatchObject({ code: 0, value: { replaced: [{ line: 2, id: 'a', was: newer }] } })
  })
  it('read standard input', async () => {
    expect((await kartoteka(['case', 'import', '-'], '{"id":"a"}\n')).out).toBe(
      '1 case added, 0 merged, 0 unchanged.\n',
    )
  })
  it('name the file that does not work, and leave no part of it', async () => {
    expect((await json('case', 'import', join(folder, 'none'))).value.error.sentence).toContain('none')
    expect((await json('case', 'export', join(folder, 'no/where'))).value.error.code).toBe('file')
    if (process.getuid?.() !== 0) {
      chmodSync(folder, 0o500)
      expect((await json('case', 'export', join(folder, 'x'))).code).toBe(1)
    }
    expect(readdirSync(folder).filter((name) => name.endsWith('.part'))).toEqual([])
  })
})

describe('reports', () => {
  it('have their shapes', async () => {
    expect((await json('sync')).value).toEqual({ sent: 1, received: 2 })
    expect((await json('verify')).value).toEqual({ identical: true, devices: [] })
    expect((await json('log')).value).toEqual([{ at: 0, code: 'started', text: 'Started.' }])
    expect((await json('doctor')).value[0]).toEqual({
      check: 'store',
      ok: false,
      sentence: 'The store is odd.',
      fix: 'Mend it.',
    })
    expect((await json('status')).value).toMatchObject({ state: 'off', transfer: null, practice: null })
  })
  it('have text for people', async () => {
    for (const args of [['sync'], ['verify'], ['log'], ['doctor'], ['status'], ['config', 'get']]) {
      const { code, out, err } = await kartoteka(args)
      expect([code, err]).toEqual([0, ''])
      expect(out).toMatch(/^\S[^{]*\n$/)
    }
  })
  it('print the status on timeout too', async () => {
    const { code, value } = await json('status', '--wait', 'synced', '--timeout', '0.5')
    expect(code).toBe(1)
    expect(value.state).toBe('off')
    expect((await json('status', '--wait', 'idle', '--timeout', '5')).code).toBe(0)
    expect(devices[0]?.calls[0]).toBe('wait synced 0.5')
  })
  it('get and set preferences', async () => {
    expect((await json('config', 'set', 'listen', '/a', '/b')).value).toEqual({ ok: true })
    expect((await json('config', 'get')).value).toEqual({ language: 'en', listen: '/a /b' })
    expect((await json('config', 'get', 'listen')).value).toEqual({ listen: '/a /b' })
    expect((await kartoteka(['config', 'get', 'listen'])).out).toBe('/a /b\n')
    expect((await json('config', 'get', 'nothing')).value.error.code).toBe('unknown-key')
  })
})

const tokenFor = (url: string) => {
  const { origin, hash } = new URL(url)
  const headers = { 'content-type': 'application/json', origin }
  return fetch(`${origin}/token`, { method: 'POST', headers, body: JSON.stringify({ code: hash.slice(1) }) })
}

describe('start', () => {
  const ready = async (...args: string[]) => {
    const running = begin(args)
    await until(() => running.out().endsWith('\n'))
    return { running, value: JSON.parse(running.out()) }
  }
  it('says when it is ready, and stops on a signal', async () => {
    const { running, value } = await ready('--json', '--no-lan', '--listen', '/x', '--listen', '/y')
    const [device] = devices
    expect(value).toEqual({
      event: 'ready',
      url: expect.stringMatching(/^http:\/\/127\.0\.0\.1:\d+\/#.+/),
      device: device?.id,
      addresses: device?.addresses(),
      data,
    })
    expect(device?.options).toMatchObject({ folder: data, lan: false, listen: ['/x', '/y'] })
    expect(existsSync(join(data, 'link.json'))).toBe(true)
    await until(() => windows.length === 1)
    // The window has a code of its own: the printed one is still good.
    expect(windows[0]).not.toBe(value.url)
    running.signal()
    expect(await running.done).toMatchObject({ code: 0 })
    expect(existsSync(join(data, 'link.json'))).toBe(false)
    expect(existsSync(join(data, 'fake.lock'))).toBe(false)
  })
  it('serves the other commands of its folder until it is told to stop', async () => {
    const { running } = await ready('start', '--json', '--no-window')
    expect(windows).toEqual([])
    const { id } = (await json('case', 'new')).value
    expect((await json('case', 'list')).value).toMatchObject([{ id }])
    expect((await json('case', 'show', 'none')).value.error.code).toBe('no-case')
    const pin = file('pin', '482915')
    expect((await json('device', 'invite', '--pin-file', pin)).value.code).toBe('AAAA-BBBB')
    expect(devices).toHaveLength(1)
    expect(devices[0]?.calls).toContain('flush')
    expect((await json('open', '--print')).value.url).toContain('http://127.0.0.1:')
    expect(windows).toEqual([])
    expect((await kartoteka(['open'])).code).toBe(0)
    expect(windows).toHaveLength(1)
    expect((await json('stop')).value).toEqual({ ok: true, running: true })
    expect(existsSync(join(data, 'fake.lock'))).toBe(false)
    expect((await running.done).code).toBe(0)
  })
  it('takes what was typed last when it stops: a window hears of it first', async () => {
    const { running, value } = await ready('--json', '--no-window')
    const { id } = (await json('case', 'new')).value
    const { token } = (await (await tokenFor(value.url)).json()) as { token: string }
    const { origin } = new URL(value.url)
    const socket = new WebSocket(`${origin.replace('http', 'ws')}/link`, ['kartoteka.1', `token.${token}`], {
      origin,
    })
    await new Promise((resolve) => socket.once('open', resolve))
    const client: Client = createORPCClient(
      new RPCLink({ websocket: socket as unknown as globalThis.WebSocket }),
    )
    const events = await client.events()
    await until(() => devices[0]!.listeners() === 1)
    running.signal()
    expect((await events.next()).value).toEqual({ type: 'stopping' })
    await client.cases.set({ id, fields: [['patient.phone', 'typed last']] })
    expect(await running.done).toMatchObject({ code: 0 })
    expect(readFileSync(join(data, 'fake.json'), 'utf8')).toContain('typed last')
  })
  it('shows the window of the device that runs already', async () => {
    const { running, value } = await ready('--json', '--no-window')
    const second = await json('start')
    expect(second.code).toBe(0)
    expect(second.value).toMatchObject({ event: 'ready', device: value.device, addresses: value.addresses })
    expect(second.value.url).not.toBe(value.url)
    expect(windows).toHaveLength(1)
    running.signal()
    await running.done
  })
  it('takes exactly the port it is given', async () => {
    const first = await ready('--json', '--no-window')
    const port = new URL(first.value.url).port
    const { code, value } = await json('start', '--port', port, '--data', join(folder, 'second'))
    expect(code).toBe(1)
    expect(value.error.code).toBe('port-in-use')
    expect(existsSync(join(folder, 'second/fake.lock'))).toBe(false)
    first.running.signal()
    await first.running.done
  })
  it('is what open needs and stop does not', async () => {
    expect((await json('open')).value.error.code).toBe('not-running')
    expect(await json('stop')).toEqual({ code: 0, value: { ok: true, running: false } })
  })
})

describe('a device that is to be made anew', () => {
  /** The second and later ones come as the test likes. */
  const started = async (later: (options: DeviceOptions) => Promise<unknown> = async () => {}) => {
    const createDevice = async (options: DeviceOptions) => {
      if (devices.length > 0) await later(options)
      const device = await createFakeDevice(options)
      devices.push(device)
      return device
    }
    const running = begin(['start', '--json'], '', { createDevice })
    await until(() => windows.length === 1)
    return {
      running,
      lines: () => running.out().trimEnd().split('\n'),
      renew: () => devices.at(-1)!.options.onRenewed!(),
    }
  }
  const opens = async (url: string) => (await tokenFor(url)).status

  it('is, at the same address, and says once more that it is ready; a window on its way opens', async () => {
    const { running, lines, renew } = await started()
    renew()
    await until(() => lines().length === 2)
    const [before, after] = lines().map((line) => JSON.parse(line) as { url: string })
    expect(new URL(after!.url).origin).toBe(new URL(before!.url).origin)
    expect(devices).toHaveLength(2)
    expect(await opens(windows[0]!)).toBe(200)
    expect(await opens(before!.url)).toBe(200)
    expect(windows).toHaveLength(1)
    const { id } = (await json('case', 'new')).value
    expect(devices[1]!.calls.length).toBeGreaterThan(0)
    expect((await json('case', 'list')).value).toMatchObject([{ id }])
    // And again.
    renew()
    await until(() => lines().length === 3)
    expect((await json('case', 'list')).value).toMatchObject([{ id }])
    running.signal()
    expect(await running.done).toMatchObject({ code: 0 })
    expect(existsSync(join(data, 'link.json'))).toBe(false)
  })
  it('is stopped by a command or a signal that comes meanwhile', async () => {
    const { running, renew } = await started(() => sleep(300))
    renew()
    await until(() => !existsSync(join(data, 'fake.lock')))
    expect((await json('stop')).value).toEqual({ ok: true, running: true })
    expect(await running.done).toMatchObject({ code: 0 })
    devices = []
    windows = []
    const other = await started(() => sleep(300))
    other.renew()
    await until(() => !existsSync(join(data, 'fake.lock')))
    other.running.signal()
    expect(await other.running.done).toMatchObject({ code: 0 })
    expect([existsSync(join(data, 'link.json')), existsSync(join(data, 'fake.lock'))]).toEqual([false, false])
  })
  it('is stopped while it can’t be, and says to others why', async () => {
    const { running, renew } = await started(async () => {
      throw new Refused('disk-full', 'The disk is full.')
    })
    renew()
    await until(() => running.err().includes('The disk is full.'))
    expect((await json('case', 'list')).value.error).toEqual({
      code: 'disk-full',
      sentence: 'The disk is full.',
    })
    expect((await json('stop')).value).toEqual({ ok: true, running: true })
    expect(await running.done).toMatchObject({ code: 0 })
    expect(running.err().split('The disk is full.')).toHaveLength(2)
    expect([existsSync(join(data, 'link.json')), existsSync(join(data, 'fake.lock'))]).toEqual([false, false])
  })
  it('is tried again where it can’t be now, and once more if that is said while it is made', async () => {
    let tries = 0
    const { running, lines, renew } = await started(async ({ onRenewed }) => {
      if (++tries === 1) throw new Refused('disk-full', 'The disk is full.')
      if (tries === 2) onRenewed!()
    })
    renew()
    await until(() => lines().length === 3)
    expect(running.err()).toContain('The disk is full.')
    expect(tries).toBe(3)
    running.signal()
    await running.done
  })
})

describe('text for people', () => {
  it('can’t command a terminal', () => {
    expect(printable('a\u001b[31mb\u0007\u009bc\r\nd')).toBe('a[31mbc d')
    expect(printable('a\r\nb\u001b', true)).toBe('a\nb')
    expect(
      table([
        ['a\u001b', 'b'],
        ['ccc', ''],
      ]),
    ).toBe('a    b\nccc')
  })
  it('shows a case', () => {
    const text = caseText(
      JSON.stringify({
        id: 'x',
        patient: { firstName: 'Łucja', lastName: 'Żak', birthDate: '1980-01-02' },
        tags: ['a', 'b'],
        archived: true,
        lateEdits: true,
        conflicts: [{ field: 'patient.phone', value: '2', others: ['1', null] }],
        description: { text: 'First\nSecond' },
        consultations: [{ id: '1', date: '2020-01-01', kind: 'first', text: 'Notes' }],
        prescriptions: [{ id: '2', date: '2020-01-02', remedy: 'Sulphur', potency: '200C' }],
        analyses: [{ id: '3', title: 'T', symptoms: [{ id: '4', text: 'S', rubrics: [] }] }],
      }),
    )
    expect(text).toBe(
      [
        'Łucja Żak',
        'id: x',
        'archived: true',
        'lateEdits: true',
        '! patient.phone, other value: 1, null',
        'birthDate: 1980-01-02',
        'tags: a, b',
        '',
        'Description',
        '  First',
        '  Second',
        '',
        '2020-01-01 · first',
        '  Notes',
        '',
        '2020-01-02 · Sulphur · 200C',
        '',
        'T',
        '  - S',
      ].join('\n'),
    )
    expect(caseText('{}')).toBe('(no name)')
  })
  it('splits lines wherever the pieces end', async () => {
    const content = Buffer.from('ab\ncdefgh\n\nż\nlast')
    for (let size = 1; size <= content.length; size++) {
      const pieces = Array.from({ length: Math.ceil(content.length / size) }, (_, i) =>
        content.subarray(i * size, (i + 1) * size),
      )
      const found: [number, string | null][] = []
      for await (const { number, bytes } of readLines(Readable.from(pieces), 5))
        found.push([number, bytes?.toString() ?? null])
      expect(found).toEqual([
        [1, 'ab'],
        [2, null],
        [3, ''],
        [4, 'ż'],
        [5, 'last'],
      ])
    }
  })
})
