/** Files that somebody else may have written or a disk spoilt: carried mail, settings, keys, the link file. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, expect, test } from 'vitest'
import { isRelayError } from '../../relay/error.js'
import { readSettings, SETTINGS_FILE } from '../../relay/settings.js'
import { type Device, Refused } from '../../src/node/api.js'
import { readLinkFile, writeLinkFile } from '../../src/node/data-folder.js'
import { loadIdentity } from '../../src/node/device/identity.js'
import { createDevice } from '../../src/node/device.js'
import { concat, readU32, u32 } from '../../src/protocol/bytes.js'
import type { Random } from '../support/random.js'
import { expectBoth, fuzz, type Outcome } from './fuzz.js'
import { mutated } from './mutate.js'
import { type Json, mutatedJson } from './mutate-json.js'

const root = mkdtempSync(join(tmpdir(), 'kartoteka-fuzz-'))
const open = new Set<Device>()
afterEach(async () => {
  for (const device of open) await device.close()
  open.clear()
})
afterAll(() => rmSync(root, { recursive: true, force: true }))

async function start(name: string, isOnline = false): Promise<Device> {
  const where = isOnline ? { listen: ['/ip4/127.0.0.1/tcp/0'], lan: false } : { network: false }
  const device = await createDevice({ folder: join(root, name), ...where })
  open.add(device)
  return device
}
async function stop(...devices: Device[]): Promise<void> {
  for (const device of devices) {
    await device.close()
    open.delete(device)
  }
}

const lines = async (device: Device) => (await device.cases.export({})).lines

/** Two devices that have met once and not since; the file with all that the first has written. */
async function carried(): Promise<{ from: Device; to: Device; file: Uint8Array }> {
  const PIN = 'tulipan-7'
  const [desk, laptop] = [await start('desk', true), await start('laptop', true)]
  await desk.practice.create({ name: 'Gabinet', device: 'Desk', pin: PIN })
  await desk.device.invite({ pin: PIN, minutes: 1, yes: true })
  const addresses = desk.addresses()
  await laptop.practice.join({ code: undefined, relays: [], addresses, device: 'Laptop', pin: PIN })
  await stop(desk, laptop)
  const [from, to] = [await start('desk'), await start('laptop')]
  for (let at = 0; at < 8; at++)
    await from.cases.create({ json: JSON.stringify({ id: `case${at}`, patient: { lastName: `N${at}` } }) })
  const pieces: Uint8Array[] = []
  for await (const { data } of await from.carry.out()) pieces.push(Buffer.from(data, 'base64'))
  return { from, to, file: concat(pieces) }
}

const MAGIC_BYTES = 'kartoteka carry 1\n'.length + 32

/** Head, records, end. */
function partsOf(file: Uint8Array): Uint8Array[] {
  const parts = [file.slice(0, MAGIC_BYTES)]
  for (let at = MAGIC_BYTES; at < file.length; ) {
    const length = file[at] === 0 ? 0 : readU32(file, at + 1)
    parts.push(file.slice(at, at + 5 + length))
    at += 5 + length
  }
  return parts
}

/** Records that were left out, repeated, changed, moved, or of another kind or length; or any bytes of the file. */
function mutatedFile(random: Random, file: Uint8Array): Uint8Array {
  if (random() < 0.3) return mutated(random, [file])
  const parts = partsOf(file)
  do {
    const at = random.int(0, parts.length - 1)
    const part = parts[at]!
    const way = random.int(0, 5)
    if (way === 0) parts.splice(at, 1)
    if (way === 1) parts.splice(random.int(0, parts.length - 1), 0, part)
    if (way === 2) parts[at] = mutated(random, [part])
    if (way === 3) parts.push(...parts.splice(at, 1))
    if (way === 4) parts[at] = concat([Uint8Array.of(random.int(0, 3)), part.slice(1)])
    if (way === 5)
      parts[at] = concat([part.slice(0, 1), u32(random.pick([0, 1, 2 ** 24, 2 ** 32 - 1])), part.slice(5)])
  } while (random() < 0.4 && parts.length > 0)
  return concat(parts)
}

test('carried files', async () => {
  const { from, to, file } = await carried()
  let count = 0
  const take = async (bytes: Uint8Array, pieceBytes: number): Promise<Outcome> => {
    const name = `file ${count++}`
    try {
      for (let at = 0; ; at += pieceBytes) {
        const last = at + pieceBytes >= bytes.length
        const data = Buffer.from(bytes.subarray(at, at + pieceBytes)).toString('base64')
        await to.carry.in({ file: name, data, last })
        if (last) return 'value'
      }
    } catch (error) {
      if (!(error instanceof Refused)) throw error
      return 'error'
    }
  }
  const tally = await fuzz({
    name: 'carried files',
    share: 1 / 100,
    make: (random) => ({
      bytes: mutatedFile(random, file),
      pieceBytes: random.pick([200, 5_000, 1_000_000]),
    }),
    show: ({ bytes, pieceBytes }) => `${pieceBytes} ${Buffer.from(bytes).toString('hex')}`,
    run: ({ bytes, pieceBytes }) => take(bytes, pieceBytes),
  })
  expectBoth(tally)
  // Nothing of it has harmed what the whole file brings.
  expect(await take(file, 100_000)).toBe('value')
  expect(await lines(to)).toEqual(await lines(from))
})

test('settings of a relay, key files and link files', async () => {
  const settings: Json = {
    ...{ listen: ['/ip4/127.0.0.1/tcp/4001'], announce: ['/dns4/relay.example.org/tcp/4001'], circuit: true },
    ...{ stunPort: 3478, metrics: 9090, quotaMb: 256, expiryDays: 90, allow: [], store: 'level' },
  }
  const hex = 'ab'.repeat(32)
  const keys: Json = { version: 1, ed25519: hex, x25519: hex, dataKey: hex }
  const link: Json = { port: 28417, pid: 1, token: 'abc' }
  await writeLinkFile(root, { port: 1, pid: 1, token: 'x' })
  const readers: [file: string, content: Json, read: () => Promise<Outcome>][] = [
    [
      SETTINGS_FILE,
      settings,
      async () => {
        const read = await readSettings({}, {}, root)
        if (isRelayError(read) && !/\.$/.test(read.sentence)) throw new Error(`no sentence: ${read.sentence}`)
        return isRelayError(read) ? 'error' : 'value'
      },
    ],
    [
      'keys.json',
      keys,
      async () => {
        try {
          const { edSecret, xSecret, dataKey } = await loadIdentity(root, false)
          if ([edSecret, xSecret, dataKey].some(({ length }) => length !== 32)) throw new Error('other keys')
          return 'value'
        } catch (error) {
          if (!(error instanceof Refused)) throw error
          return 'error'
        }
      },
    ],
    ['link.json', link, async () => ((await readLinkFile(root)) ? 'value' : 'error')],
  ]
  const tally = await fuzz({
    name: 'settings',
    share: 1 / 10,
    make: (random) => {
      const at = random.int(0, readers.length - 1)
      const text = mutatedJson(random, readers[at]![1])
      return { at, bytes: random() < 0.8 ? Buffer.from(text) : mutated(random, [Buffer.from(text)]) }
    },
    show: ({ at, bytes }) => `${readers[at]![0]} ${Buffer.from(bytes).toString('hex')}`,
    run: ({ at, bytes }) => {
      const [file, , read] = readers[at]!
      writeFileSync(join(root, file), bytes)
      return read()
    },
  })
  expectBoth(tally)
})
