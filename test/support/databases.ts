/** Empty databases of each kind that the store runs on. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Level } from 'level'
import { MemoryLevel } from 'memory-level'
import { afterAll } from 'vitest'
import type { Database } from '../../src/store/sealed-db.js'

const ENCODING = { keyEncoding: 'view', valueEncoding: 'view' } as const

export function memoryDb(): Database {
  return new MemoryLevel<Uint8Array, Uint8Array>({
    ...ENCODING,
    storeEncoding: 'view',
  }) as unknown as Database
}

/** In a temporary folder that goes when the tests of the file have ended. */
export function classicDb(): Database {
  const folder = mkdtempSync(join(tmpdir(), 'kartoteka-store-'))
  const db = new Level<Uint8Array, Uint8Array>(join(folder, 'store'), { ...ENCODING, compression: false })
  afterAll(async () => {
    await db.close()
    rmSync(folder, { recursive: true, force: true })
  })
  return db as unknown as Database
}
