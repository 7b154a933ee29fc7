/** Windows that have a case open: what they are given, and when. */
import { MemoryLevel } from 'memory-level'
import { afterEach, beforeEach, expect, it } from 'vitest'
import * as Y from 'yjs'
import { casesApi } from '../../src/node/device/cases.js'
import { toHex } from '../../src/protocol/bytes.js'
import { keys } from '../../src/store/keyspace.js'
import type { Database } from '../../src/store/sealed-db.js'
import { Bench, type Device } from '../suites/store/bench.js'

let bench: Bench
let a: Device
beforeEach(async () => {
  bench = new Bench(() => new MemoryLevel({ storeEncoding: 'view' }) as unknown as Database, 3)
  a = await bench.device()
  await a.create('one')
})
afterEach(() => bench.stop())

/** A window's document that follows the case, with a count of what came after the first whole state. */
async function openWindow(api: ReturnType<typeof casesApi>, window: string | undefined) {
  const doc = new Y.Doc()
  const closed = new AbortController()
  const updates = (await api.doc.open({ id: 'one', window }, closed.signal))[Symbol.asyncIterator]()
  const seen = { doc, came: 0, close: () => closed.abort() }
  const take = async () => {
    const { value, done } = await updates.next()
    if (!done) Y.applyUpdate(doc, Buffer.from(value.update, 'base64'), 'device')
    return !done
  }
  await take()
  void (async () => {
    while (await take()) seen.came++
  })()
  const type = async (text: string) => {
    let update: Uint8Array = new Uint8Array()
    doc.once('update', (bytes: Uint8Array) => {
      update = bytes
    })
    doc.getText('t').insert(0, text)
    await api.doc.update({ id: 'one', update: Buffer.from(update).toString('base64'), window })
  }
  return { seen, type, text: () => doc.getText('t').toString() }
}

it('a window is given all changes but its own', async () => {
  const api = casesApi({ replica: () => a.replica, newId: () => 'new', heldBy: () => [] })
  const [one, other, nameless] = [
    await openWindow(api, 'one'),
    await openWindow(api, 'other'),
    await openWindow(api, undefined),
  ]
  await one.type('typed ')
  await nameless.type('here ')
  await other.type('too ')
  await a.type('one', 'and without a window ')
  const all = 'and without a window too here typed '
  await expect.poll(() => [one.text(), other.text(), nameless.text()]).toEqual([all, all, all])
  expect([one.seen.came, other.seen.came, nameless.seen.came]).toEqual([3, 3, 4])
  for (const { seen } of [one, other, nameless]) seen.close()
})

it('what comes from others is shown where the case is open, then stored', async () => {
  const shown: { text: string; parts: number }[] = []
  let open: Y.Doc | undefined
  const parts = async (device: Device) =>
    (await device.replica.caseState(device.key('one')))?.parts.length ?? 0
  const b: Device = await bench.device({
    whenShown: async () => {
      shown.push({ text: open!.getText('t').toString(), parts: await parts(b) })
    },
  })
  await a.giveTo(b)
  expect(shown).toEqual([])
  open = await b.replica.openDoc('one')
  await a.type('one', 'new')
  await a.giveTo(b)
  expect(shown).toEqual([{ text: 'new', parts: 1 }])
  expect(await parts(b)).toBe(2)
  await b.type('one', 'mine ')
  b.replica.docs.release('one')
  await a.type('one', 'more ')
  await a.giveTo(b)
  expect(shown).toHaveLength(1)
})

it('what a window says once more is confirmed only when it is written, or fails with it', async () => {
  const api = casesApi({ replica: () => a.replica, newId: () => 'new', heldBy: () => [] })
  const before = await a.replica.docs.open('one')
  const { db } = a
  const fields: [string, string][] = [['patient.phone', '600 700 800']]
  let fail = () => {}
  const failing = new Promise<void>((resolve) => {
    fail = resolve
  })
  Object.assign(db, {
    batch: async () => {
      await failing
      throw new Error('ENOSPC: No space left on device')
    },
  })
  const sent = new Promise((resolve) => before.once('update', resolve))
  const first = api.cases.set({ id: 'one', fields })
  await sent
  let isAnswered = false
  const again = api.cases.set({ id: 'one', fields }).finally(() => {
    isAnswered = true
  })
  const answers = Promise.allSettled([first, again])
  for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate)
  expect(isAnswered).toBe(false)
  fail()
  for (const answer of await answers)
    expect(answer).toMatchObject({ status: 'rejected', reason: { code: 'disk-full' } })
})

it('a device that could not take a batch in shows nothing of it, and builds nothing on it', async () => {
  const b = await bench.device()
  await a.create('two')
  await a.giveTo(b)
  const doc = await b.replica.docs.open('one')
  b.replica.projected.clear()
  await a.type('one', 'theirs ')
  await a.type('two', 'theirs ')
  const { db } = b
  const getMany = db.getMany.bind(db) as (wanted: Uint8Array[], options: unknown) => Promise<unknown[]>
  Object.assign(db, {
    getMany: async (wanted: Uint8Array[], options: unknown) => {
      if (wanted[0]![0] !== keys.part(b.key('two'), 0)[0]) return getMany(wanted, options)
      Object.assign(db, { getMany })
      throw new Error('EIO')
    },
  })
  await expect(a.giveTo(b)).rejects.toThrow('EIO')
  expect(doc.isDestroyed).toBe(true)
  await b.type('one', 'mine ')
  expect((await b.contents()).one).toMatchObject({ text: 'mine ', parked: 0 })
  await a.giveTo(b)
  expect((await b.contents()).one).toMatchObject({ parked: 0 })
})

it('a case that can not be read keeps no other one from being exported or imported', async () => {
  const api = casesApi({ replica: () => a.replica, newId: () => 'new', heldBy: () => [] })
  await a.create('two', 'three')
  const { lines } = await api.cases.export({})
  await a.reopen()
  await a.damage(keys.part(a.key('two'), 0))
  const page = await api.cases.export({})
  expect(page).toEqual({ lines: [lines[0], lines[1]], unreadable: ['two'], last: 'two', more: false })
  const brought = [lines[2]!, lines[0]!.replaceAll('one', 'four')].map((text, at) => ({ line: at + 1, text }))
  const report = await api.cases.import({ lines: brought, preview: false })
  expect(report).toMatchObject({ added: 1, errors: [{ line: 1 }] })
  expect((await api.cases.list({ deleted: false })).map(({ id }) => id)).toContain('four')
})

it('an export says of a case, too, whose very id can not be read that it is missing', async () => {
  const api = casesApi({ replica: () => a.replica, newId: () => 'new', heldBy: () => [] })
  await a.create('two')
  await a.reopen()
  await a.damage(keys.case(a.key('two')))
  const { lines, unreadable, more } = await api.cases.export({})
  expect([lines.length, more]).toEqual([1, false])
  expect(unreadable).toEqual([`? ${toHex(a.key('two')).slice(0, 8)}`])
  expect(await api.cases.export({ only: ['one'] })).toMatchObject({ unreadable: [] })
})
