import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import { openFolder } from '../../src/node/device/folder.js'
import { nodeNatives } from '../../src/node/natives.js'
import { utf8 } from '../../src/protocol/bytes.js'
import { Churn } from '../../src/store/churn.js'
import { keys } from '../../src/store/keyspace.js'
import { SealedDb } from '../../src/store/sealed-db.js'
import { seeded } from '../support/random.js'

const random = seeded(9)
const put = (key: Uint8Array, bytes = 100) => ({ key, value: new Uint8Array(bytes) })

describe('churn', () => {
  test('an import of many cases is none; one case written over and over is', () => {
    const churn = new Churn()
    for (let at = 0; at < 2000; at++) churn.note([put(keys.case(random.bytes(16))), put(keys.meta(), 0)])
    expect(churn.wornBytes).toBeLessThan(10_000)
    const key = random.bytes(16)
    for (let at = 0; at < 2000; at++)
      churn.note([put(keys.part(key, at)), { key: keys.part(key, at - 1 || 0), value: undefined }])
    expect(churn.wornBytes).toBeGreaterThan(200_000)
    const stretches = churn.take()
    const holds = (wanted: Uint8Array) =>
      stretches.some(({ from, to }) => Buffer.compare(from, wanted) <= 0 && Buffer.compare(to, wanted) >= 0)
    expect(holds(keys.part(key, 0))).toBe(true)
    expect(holds(keys.part(key, 0xffffffff))).toBe(true)
    expect(holds(keys.part(random.bytes(16), 7))).toBe(false)
    expect(churn.wornBytes).toBe(0)
    expect(churn.take()).toEqual([])
  })
})

describe('tidying a store on the disk', () => {
  const folder = mkdtempSync(join(tmpdir(), 'kartoteka-churn-'))
  afterEach(() => rmSync(folder, { recursive: true, force: true }))

  test('gives back what replaced values took, and nothing else', async () => {
    const dataKey = random.bytes(32)
    const open = async () => {
      const opened = await openFolder(folder)
      const compact = (from: Uint8Array, to: Uint8Array) => opened.compact(from, to)
      const natives = nodeNatives
      const db = new SealedDb({
        db: opened.db,
        natives,
        dataKey,
        random: (bytes) => random.bytes(bytes),
        compact,
      })
      return { opened, db }
    }
    const [busy, calm] = [keys.case(random.bytes(16)), keys.case(random.bytes(16))]
    const first = await open()
    await first.db.write([calm, busy].map((key) => ({ key, value: utf8('calm') })))
    await first.opened.close()
    const { opened, db } = await open()
    for (let at = 0; at < 1500; at++) await db.write([{ key: busy, value: random.bytes(1000) }])
    await db.write([{ key: busy, value: utf8('last') }])
    const size = () =>
      readdirSync(join(folder, 'store')).reduce(
        (sum, name) => sum + statSync(join(folder, 'store', name)).size,
        0,
      )
    await db.tidy(10_000_000)
    expect(size()).toBeGreaterThan(1_000_000)
    await db.tidy(100_000)
    expect(size()).toBeLessThan(50_000)
    expect(await db.getMany([busy, calm])).toEqual([utf8('last'), utf8('calm')])
    await opened.close()
  })
})
