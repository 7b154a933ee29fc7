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

const classics: { close(): Promise<void> }[] = []
let folder: string | undefined

// Said once, when the file is read: within a test it would come too late to be heard.
afterAll(async () => {
  for (const db of classics) await db.close()
  if (folder) rmSync(folder, { recursive: true, force: true })
})

/** In a temporary folder that goes when the tests of the file have ended. */
export function classicDb(): Database {
  folder ??= mkdtempSync(join(tmpdir(), 'kartoteka-store-'))
  const store = join(folder, `${classics.length}`)
  const db = new Level<Uint8Array, Uint8Array>(store, { ...ENCODING, compression: false })
  classics.push(db)
  return db as unknown as Database
}
