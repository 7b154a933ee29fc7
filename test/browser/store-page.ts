/** In a page: the store's own suite, on a database that the browser keeps. */
import { BrowserLevel } from 'browser-level'
import type { Database } from '../../src/store/sealed-db.js'
import { storeSuite } from '../suites/store.js'

let count = 0

function createDb(): Database {
  const encoding = { keyEncoding: 'view', valueEncoding: 'view' } as const
  return new BrowserLevel<Uint8Array, Uint8Array>(`store ${count++}`, encoding) as unknown as Database
}

storeSuite('browser-level', createDb, { isSlow: true })
