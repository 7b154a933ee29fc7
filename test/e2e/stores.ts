/** The store of a device that doesn't run, opened with the keys in its folder. */
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Level } from 'level'
import { nodeNatives } from '../../src/node/natives.js'
import { toHex } from '../../src/protocol/bytes.js'
import { type CaseState, decodeCase } from '../../src/store/case-state.js'
import { keys, rangeOf } from '../../src/store/keyspace.js'
import { LogRow, MetaRow } from '../../src/store/records.gen.js'
import { type Database, SealedDb } from '../../src/store/sealed-db.js'

export interface OpenStore {
  level: Level<Uint8Array, Uint8Array>
  sealed: SealedDb
}

export async function withStore<T>(folder: string, use: (store: OpenStore) => Promise<T>): Promise<T> {
  const options = { keyEncoding: 'view', valueEncoding: 'view' } as const
  const level = new Level<Uint8Array, Uint8Array>(join(folder, 'store'), options)
  await level.open()
  try {
    const { dataKey } = JSON.parse(readFileSync(join(folder, 'keys.json'), 'utf8')) as { dataKey: string }
    const db = level as unknown as Database
    const sealed = new SealedDb({
      db,
      natives: nodeNatives,
      dataKey: Buffer.from(dataKey, 'hex'),
      random: randomBytes,
    })
    return await use({ level, sealed })
  } finally {
    await level.close()
  }
}

export async function findCase({ sealed }: OpenStore, id: string): Promise<CaseState> {
  for await (const { key, value } of sealed.rows(rangeOf('c'))) {
    const state = decodeCase(key.slice(1), value)
    if (state.caseId === id) return state
  }
  throw new Error(`no case ${id}`)
}

/** Every log that is known here: hex of its device's key and how many changes it holds. */
export async function readLogs({
  sealed,
}: OpenStore): Promise<{ log: string; device: string; seq: number; retainedFrom: number }[]> {
  const logs: { log: string; device: string; seq: number; retainedFrom: number }[] = []
  for await (const { key, value } of sealed.rows(rangeOf('f'))) {
    const { device, seq, retainedFrom } = LogRow.decode(value)
    logs.push({ log: toHex(key.slice(1)), device: toHex(device), seq, retainedFrom })
  }
  return logs
}

export async function readMeta({ sealed }: OpenStore): Promise<MetaRow> {
  return MetaRow.decode((await sealed.get(keys.meta()))!)
}

export async function writeMeta({ sealed }: OpenStore, meta: MetaRow): Promise<void> {
  const write = { key: keys.meta(), value: MetaRow.encode(meta).finish() }
  await sealed.write([write])
  await sealed.flush()
}
