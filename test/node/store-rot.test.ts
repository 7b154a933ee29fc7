/**
 * Bits rot in the files of a device that doesn't run: nothing of it passes silently. A device that starts on such a
 * folder says so, or has everything; it never shows less, or something else, without a word.
 */
import { randomBytes } from 'node:crypto'
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Level } from 'level'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Device } from '../../src/node/api.js'
import { Refused } from '../../src/node/api.js'
import { openFolder } from '../../src/node/device/folder.js'
import { loadIdentity } from '../../src/node/device/identity.js'
import { crc32c, hasHole, isTableSound, judgeLog, readLogs } from '../../src/node/device/store-files.js'
import { createDevice } from '../../src/node/device.js'
import { keys } from '../../src/store/keyspace.js'
import { seeded } from '../support/random.js'
import { workloadLines } from '../support/workload.js'

const FLIPS = Number(process.env.KARTOTEKA_FLIPS ?? 15)
const CASES = 40
const random = seeded(404)
const root = mkdtempSync(join(tmpdir(), 'kartoteka-rot-'))
afterAll(() => rmSync(root, { recursive: true, force: true }))

/** In tables, and in the log behind them: what a person has after two sessions. */
const folder = join(root, 'sound')
let before: string

const start = (path: string): Promise<Device> => createDevice({ folder: path, network: false })

async function contents(device: Device): Promise<string> {
  const { lines, more } = await device.cases.export({})
  expect(more).toBe(false)
  return lines.join('\n')
}

beforeAll(async () => {
  const lines = workloadLines(CASES).trimEnd().split('\n')
  const numbered = (part: string[]) => part.map((text, at) => ({ line: at + 1, text }))
  let device = await start(folder)
  await device.practice.create({ name: 'Gabinet', device: 'Desk' })
  await device.cases.import({ lines: numbered(lines.slice(0, CASES / 2)), preview: false })
  await device.close()
  // What was in the log becomes a table.
  device = await start(folder)
  await device.cases.import({ lines: numbered(lines.slice(CASES / 2)), preview: false })
  for (let at = 0; at < 20; at++) await device.cases.create({ json: JSON.stringify({ id: `small ${at}` }) })
  before = await contents(device)
  await device.close()
})

function flip(path: string, bit: number): void {
  const bytes = readFileSync(path)
  bytes[bit >> 3]! ^= 1 << (bit & 7)
  writeFileSync(path, bytes)
}

let copies = 0
function copyOf(): string {
  const path = join(root, `copy-${++copies}`)
  cpSync(folder, path, { recursive: true })
  return path
}

const storeFiles = (kind: RegExp) => readdirSync(join(folder, 'store')).filter((name) => kind.test(name))

type Seen = 'said' | 'refused' | 'whole' | 'SILENT'

/** How a device takes it: twice started, as people do when they are told to. */
async function take(path: string): Promise<Seen> {
  let said = false
  try {
    for (let time = 0; time < 2; time++) {
      const device = await start(path)
      try {
        const { problems } = await device.status()
        const checks = await device.doctor()
        if (problems.length > 0 || checks.some(({ check, ok }) => check === 'store' && !ok)) said = true
        const now = await contents(device).catch((error: unknown) => {
          if (error instanceof Refused && error.code === 'store-damaged') said = true
          return error instanceof Refused ? error.sentence : Promise.reject(error as Error)
        })
        if (now !== before && !said) return 'SILENT'
      } finally {
        await device.close()
      }
    }
  } catch (error) {
    if (!(error instanceof Refused)) throw error
    expect(error.sentence).toMatch(/^[A-Z].*\.$/s)
    return 'refused'
  } finally {
    rmSync(path, { recursive: true, force: true })
  }
  return said ? 'said' : 'whole'
}

async function flips(kind: RegExp, count: number): Promise<Record<string, number>> {
  const seen: Record<string, number> = {}
  const silent: string[] = []
  for (let at = 0; at < count; at++) {
    const name = random.pick(storeFiles(kind))
    const path = copyOf()
    const file = join(path, 'store', name)
    const bit = random.int(0, readFileSync(file).length * 8 - 1)
    flip(file, bit)
    const how = await take(path)
    seen[how] = (seen[how] ?? 0) + 1
    if (how === 'SILENT') silent.push(`${name} bit ${bit}`)
  }
  expect(silent).toEqual([])
  return seen
}

describe('one flipped bit, and a device that starts on it', () => {
  it(`in tables: ${FLIPS} of ${FLIPS} are said`, async () => {
    expect(await flips(/\.ldb$/, FLIPS)).toEqual({ said: FLIPS })
  })

  it(`in the log: ${FLIPS} of ${FLIPS} are said`, async () => {
    expect(await flips(/\.log$/, FLIPS)).toEqual({ said: FLIPS })
  })

  it(`in MANIFEST and CURRENT: ${FLIPS} of ${FLIPS} are said`, async () => {
    expect(await flips(/^(MANIFEST-\d+|CURRENT)$/, FLIPS)).toEqual({ said: FLIPS })
  })

  it('in what LevelDB writes for people, and in its empty lock: nothing changes', async () => {
    expect(await flips(/^LOG/, 4)).toEqual({ whole: 4 })
    const path = copyOf()
    writeFileSync(join(path, 'store', 'LOCK'), 'x')
    expect(await take(path)).toBe('whole')
  })

  it('in a value of each row: said, or without consequence', async () => {
    const kinds = new Map<string, Record<string, number>>()
    for (const key of await rawKeys(folder)) {
      const kind = String.fromCharCode(key[0]!)
      const counts = kinds.get(kind) ?? {}
      // A few of each kind.
      if (Object.values(counts).reduce((sum, count) => sum + count, 0) >= 2) continue
      const path = copyOf()
      await damageRow(path, key)
      const how = await take(path)
      expect(`${kind}: ${how}`).not.toContain('SILENT')
      kinds.set(kind, { ...counts, [how]: (counts[how] ?? 0) + 1 })
    }
    for (const kind of 'mgfcp') expect(kinds.get(kind), kind).toBeDefined()
    for (const kind of 'mfcp') expect(Object.keys(kinds.get(kind)!), kind).toEqual(['said'])
  })
})

describe('a row that opens no case, and that syncing reads', () => {
  it('is said when it is read, and the next start puts the store in order', async () => {
    const path = copyOf()
    const doubt = keys.doubt('00'.repeat(16), new Uint8Array(8))
    await withRaw(path, (db) => db.put(doubt, Uint8Array.of(1, 2, 3), RAW))
    const codes = async (device: Device) => (await device.status()).problems.map(({ code }) => code)
    const device = await start(path)
    expect(await codes(device)).toEqual([])
    await device.cases.create({ json: JSON.stringify({ id: 'new' }) })
    await expect.poll(() => codes(device)).toContain('store-rotten')
    await device.close()
    const next = await start(path)
    expect(await codes(next)).toContain('store-repaired')
    expect((await contents(next)).split('\n').filter((line) => line !== '{"id":"new"}')).toEqual(
      before.split('\n'),
    )
    await next.close()
  })
})

describe('a file that is gone', () => {
  it.each(['CURRENT', /^MANIFEST/, /\.ldb$/])('%s: nothing is wiped, and it is said', async (kind) => {
    const path = copyOf()
    const [name] = typeof kind === 'string' ? [kind] : storeFiles(kind)
    rmSync(join(path, 'store', name!))
    const device = await start(path)
    expect((await device.status()).problems).toContainEqual(
      expect.objectContaining({ code: 'store-repaired' }),
    )
    if (!/ldb/.test(name!)) expect(await contents(device)).toBe(before)
    await device.close()
    rmSync(path, { recursive: true })
  })

  it('all of a first start but the store: keys are made again, and nothing was lost', async () => {
    const path = join(root, 'first')
    await (await openFolder(path)).close()
    expect(existsSync(join(path, 'store', 'CURRENT'))).toBe(true)
    await (await start(path)).close()
    expect(existsSync(join(path, 'keys.json'))).toBe(true)
  })
})

describe('putting a store in order', () => {
  it('goes on where it was broken off: before, between and after the change of places', async () => {
    for (const left of ['store.copy', 'store.old and store.copy', 'store.old and store', 'store.old']) {
      const path = copyOf()
      const at = (name: string) => join(path, name)
      writeFileSync(at('store-in-doubt'), 'files\n')
      if (left === 'store.copy') cpSync(join(folder, 'keys.json'), join(path, 'store.copy'))
      if (left === 'store.old and store.copy') {
        cpSync(at('store'), at('store.copy'), { recursive: true })
        cpSync(at('store'), at('store.old'), { recursive: true })
        rmSync(at('store'), { recursive: true })
      }
      if (left === 'store.old and store') cpSync(at('store'), at('store.old'), { recursive: true })
      if (left === 'store.old') renameSync(at('store'), at('store.old'))
      const device = await start(path)
      expect(await contents(device), left).toBe(before)
      await device.close()
      expect(
        readdirSync(path).filter((name) => name.startsWith('store')),
        left,
      ).toEqual(['store'])
    }
  })

  it('leaves it to the first start: those that come meanwhile are refused, and take nothing away', async () => {
    const path = copyOf()
    writeFileSync(join(path, 'store-in-doubt'), 'files\n')
    // Longer than a start takes, and far longer than a look at the files.
    const store = new Level<Uint8Array, Uint8Array>(join(path, 'store'), {
      keyEncoding: 'view',
      valueEncoding: 'view',
    })
    for (let at = 0; at < 200; at++) await store.put(Uint8Array.of(0x79, at), randomBytes(50_000))
    await store.close()
    let first: Awaited<ReturnType<typeof openFolder>> | undefined
    const starting = openFolder(path).then((opened) => {
      first = opened
    })
    while (!existsSync(join(path, 'store.copy'))) await sleep(1)
    const refused: string[] = []
    while (!first) {
      await openFolder(path).catch(({ code }: Refused) => refused.push(code))
      await Promise.race([starting, sleep(1)])
    }
    expect(new Set(refused)).toEqual(new Set(['in-use']))
    expect((await first.db.keys({ gte: Uint8Array.of(0x79) }).all()).length).toBe(200)
    await first.close()
    const device = await start(path)
    expect(await contents(device)).toBe(before)
    await device.close()
  })

  it('begins where what keeps others away has rotted itself', async () => {
    const path = copyOf()
    writeFileSync(join(path, 'store-in-doubt'), 'files\n')
    mkdirSync(join(path, 'repair-guard'))
    writeFileSync(join(path, 'repair-guard', 'CURRENT'), 'rot')
    const device = await start(path)
    expect(await contents(device)).toBe(before)
    await device.close()
  })

  it('leaves everything as it is where nothing opens with the keys', async () => {
    const path = copyOf()
    const right = readFileSync(join(path, 'keys.json'), 'utf8')
    const { version, ed25519, x25519 } = JSON.parse(right) as Record<string, string>
    writeFileSync(join(path, 'keys.json'), JSON.stringify({ version, ed25519, x25519, dataKey: x25519 }))
    await expect(start(path)).rejects.toMatchObject({ code: 'keys-damaged' })
    writeFileSync(join(path, 'keys.json'), right)
    const device = await start(path)
    expect(await contents(device)).toBe(before)
    await device.close()
  })
})

describe('a damaged store whose doubt cannot be noted', () => {
  it('is refused, once, and put in order when it can', async () => {
    const path = copyOf()
    await damageRow(path, (await rawKeys(path)).find((key) => key[0] === 'm'.charCodeAt(0))!)
    mkdirSync(join(path, 'store-in-doubt.new'))
    await expect(start(path)).rejects.toMatchObject({ code: 'store-damaged' })
    rmSync(join(path, 'store-in-doubt.new'), { recursive: true })
    const device = await start(path)
    expect(await contents(device)).toBe(before)
    await device.close()
  })
})

describe('the key file', () => {
  it('is refused with any bit flipped, or says the same as before', async () => {
    const path = join(root, 'keys')
    cpSync(join(folder, 'keys.json'), join(path, 'keys.json'))
    const sound = await loadIdentity(path, false)
    const bytes = readFileSync(join(path, 'keys.json'))
    let refused = 0
    let tried = 0
    for (let bit = random.int(0, 4); bit < bytes.length * 8; bit += random.int(1, 9)) {
      tried++
      flip(join(path, 'keys.json'), bit)
      const loaded = await loadIdentity(path, false).catch((error: unknown) => {
        expect(error).toMatchObject({ code: 'keys-damaged' })
        refused++
        return undefined
      })
      if (loaded) expect(loaded).toEqual(sound)
      writeFileSync(join(path, 'keys.json'), bytes)
    }
    expect(refused).toBeGreaterThan(0.95 * tried)
  })
})

describe('the checks of files', () => {
  it('CRC-32C is that of RFC 3720', () => {
    expect(crc32c(Buffer.from('123456789'))).toBe(0xe3069283)
    expect(crc32c(new Uint8Array(32))).toBe(0x8a9136aa)
    expect(crc32c(Uint8Array.from({ length: 32 }, (_, at) => at))).toBe(0x46dd794e)
  })

  it('any flipped bit of a table shows, and so does a table that was cut or has grown', () => {
    const file = readFileSync(join(folder, 'store', storeFiles(/\.ldb$/)[0]!))
    expect(isTableSound(file)).toBe(true)
    const places = Array.from({ length: 1500 }, () => random.int(0, file.length * 8 - 1))
    // The footer and the indexes before it, bit by bit.
    for (let bit = (file.length - 300) * 8; bit < file.length * 8; bit++) places.push(bit)
    for (const bit of places) {
      file[bit >> 3]! ^= 1 << (bit & 7)
      expect(isTableSound(file), `bit ${bit}`).toBe(false)
      file[bit >> 3]! ^= 1 << (bit & 7)
    }
    for (const length of [0, 10, 47, 48, file.length - 1])
      expect(isTableSound(file.subarray(0, length))).toBe(false)
    expect(isTableSound(Buffer.concat([file, Buffer.alloc(1)]))).toBe(false)
    expect(isTableSound(Buffer.concat([Buffer.alloc(8), file]))).toBe(false)
  })

  it('a log that is gone when it is read was another process’s: no sign of rot, and no failure', async () => {
    const store = join(copyOf(), 'store')
    // Listed, and not to be opened.
    symlinkSync(join(store, 'gone'), join(store, '999999.log'))
    expect(await readLogs(store)).toBe(false)
    expect(await hasHole(store)).toBe(false)
  })

  it('a log that ends early is torn; one that goes on behind what can’t be read has a hole', () => {
    const file = readFileSync(join(folder, 'store', storeFiles(/\.log$/)[0]!))
    expect(judgeLog(file)).toBe('whole')
    for (let at = 0; at < 200; at++) {
      const cut = judgeLog(file.subarray(0, random.int(1, file.length - 1)))
      expect(['whole', 'torn']).toContain(cut)
    }
    for (let at = 0; at < 300; at++) {
      const bit = random.int(0, file.length * 8 - 1)
      file[bit >> 3]! ^= 1 << (bit & 7)
      const isEarly = bit >> 3 < file.length - 3 * 32 * 1024
      expect(judgeLog(file), `bit ${bit}`).not.toBe('whole')
      if (isEarly) expect(judgeLog(file), `bit ${bit}`).toBe('hole')
      file[bit >> 3]! ^= 1 << (bit & 7)
    }
    // A page that never came to the disk.
    const middle = 4096 * Math.floor(file.length / 2 / 4096)
    const page = Buffer.from(file)
    page.fill(0, middle, middle + 4096)
    expect(judgeLog(page)).toBe('hole')
    expect(judgeLog(Buffer.concat([file, Buffer.alloc(5000)]))).toBe('torn')
  })
})

const RAW = { keyEncoding: 'view', valueEncoding: 'view' } as const

async function withRaw<T>(path: string, use: (db: Level<Uint8Array, Uint8Array>) => Promise<T>): Promise<T> {
  const db = new Level<Uint8Array, Uint8Array>(join(path, 'store'), { ...RAW, compression: false })
  try {
    await db.open()
    return await use(db)
  } finally {
    await db.close()
  }
}

/** Of a copy: to open a store writes. */
async function rawKeys(path: string): Promise<Uint8Array[]> {
  const copy = join(root, `copy-${++copies}`)
  cpSync(path, copy, { recursive: true })
  const found = await withRaw(copy, (db) => db.keys(RAW).all())
  rmSync(copy, { recursive: true })
  return found.map((key) => Uint8Array.from(key))
}

function damageRow(path: string, key: Uint8Array): Promise<void> {
  return withRaw(path, async (db) => {
    const value = Uint8Array.from((await db.get(key, RAW))!)
    value[random.int(0, value.length - 1)]! ^= 1 << random.int(0, 7)
    await db.put(key, value, RAW)
  })
}
