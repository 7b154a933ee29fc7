/** What is typed in a window, over a real store: nothing that comes from elsewhere meanwhile is lost, nor holds it back. */
import { MemoryLevel } from 'memory-level'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { removeRecord, setFields } from '../../src/cases/edit.js'
import { casesApi } from '../../src/node/device/cases.js'
import { createLocalClient } from '../../src/node/router.js'
import type { Database } from '../../src/store/sealed-db.js'
import { CaseDocs } from '../../ui/editor/case-doc.js'
import { readCase, withOwn } from '../../ui/lib/case-view.js'
import type { Client, DeviceLink, LinkStatus } from '../../ui/state/client.js'
import { DeviceData } from '../../ui/state/device-data.js'
import { FieldSaver } from '../../ui/state/saver.js'
import { createStore } from '../../ui/state/store.js'
import { Bench, type Device } from '../suites/store/bench.js'

const phone = 'patient.phone'
let bench: Bench
let device: Device
let client: Client
let link: DeviceLink & { client(): Client | null }
beforeEach(async () => {
  bench = new Bench(() => new MemoryLevel({ storeEncoding: 'view' }) as unknown as Database, 5)
  device = await bench.device()
  await device.create('one')
  const api = casesApi({ replica: () => device.replica, newId: () => 'new', heldBy: () => [] })
  client = createLocalClient({ device: api as never, host: {} as never, log: () => {} })
  link = { status: createStore<LinkStatus>({ kind: 'open' }), client: () => client }
})
afterEach(() => bench.stop())

const elsewhere = (path: string, value: string) =>
  device.replica.docs.edit('one', (doc) => setFields(doc, [[path, value]]))
const shown = async () => readCase((await client.cases.show({ id: 'one' })).json)

test('a field of a record that is gone keeps no other field back', async () => {
  const { id } = await client.cases.add({ id: 'one', kind: 'prescription', json: '{}' })
  const saver = new FieldSaver(link, () => {})
  await device.replica.docs.edit('one', (doc) => removeRecord(doc, 'prescriptions', id))
  saver.type('one', `prescriptions.${id}.dose`, '2 x 5', '')
  saver.type('one', phone, '600 700 800', '')
  await saver.flush('one')
  expect((await shown()).patient.phone).toBe('600 700 800')
  const left = saver.pending.get().get('one')
  expect([...(left?.values ?? [])]).toEqual([[`prescriptions.${id}.dose`, '2 x 5']])
  expect(left?.problem?.code).toBe('not-accepted')
})

test('what came while a field was typed stays beside it until a person chooses', async () => {
  const own = new Map<string, string>()
  const saver = new FieldSaver(link, (_, fields) => {
    for (const [field, value] of fields) own.set(field, value)
  })
  saver.type('one', phone, '1 mine', '')
  await elsewhere(phone, '9 theirs')
  await saver.flush('one')
  const view = withOwn(await shown(), own)
  expect(view.patient.phone).toBe('1 mine')
  expect(view.conflicts).toEqual([{ field: phone, value: '1 mine', others: ['9 theirs'] }])
  saver.type('one', phone, '1 mine, too', '1 mine')
  await saver.flush('one')
  expect((await shown()).conflicts).toEqual([{ field: phone, value: '9 theirs', others: ['1 mine, too'] }])
  await client.cases.choose({ id: 'one', field: phone, json: '"1 mine, too"' })
  expect((await shown()).conflicts).toEqual([])
  saver.type('one', phone, '', '1 mine, too')
  await saver.flush('one')
  expect((await shown()).patient.phone).toBeUndefined()
})

test('what is sent again, as no answer came, takes nothing back that was written since', async () => {
  const { set } = client.cases
  const lost = vi.fn(async (input: Parameters<typeof set>[0]) => {
    await set(input)
    throw new Error('the connection is gone')
  })
  const whole = client
  client = { ...whole, cases: { ...whole.cases, set: lost as unknown as typeof set } }
  const saver = new FieldSaver(link, () => {})
  saver.type('one', phone, '1', '')
  await saver.flush('one')
  client = whole
  saver.type('one', phone, '12', '')
  await saver.flush('one')
  expect(saver.unsaved()).toBe(false)
  expect((await shown()).conflicts).toEqual([])
  client = { ...whole, cases: { ...whole.cases, set: lost as unknown as typeof set } }
  saver.type('one', phone, '123', '12')
  await saver.flush('one')
  await elsewhere(phone, '9 theirs')
  client = whole
  await saver.flush('one')
  expect((await shown()).conflicts).toEqual([{ field: phone, value: '9 theirs', others: ['123'] }])
})

async function openCase() {
  const { caseDoc } = new CaseDocs(link).acquire('one')
  await vi.waitFor(() => expect(caseDoc.state.get().loaded).toBe(true))
  return { caseDoc, state: () => caseDoc.state.get(), text: () => caseDoc.doc.getText('t').toString() }
}

test('a window goes on following a case whose document the device has closed', async () => {
  const window = await openCase()
  const { doc } = window.caseDoc
  device.replica.docs.forget('one')
  await device.type('one', 'theirs')
  await vi.waitFor(() => expect(window.text()).toBe('theirs'))
  expect(window.caseDoc.doc).toBe(doc)
})

test('what the disk refused stays in the window where it was typed, and in no other', async () => {
  const [here, there] = [await openCase(), await openCase()]
  const shownThere: string[] = []
  there.caseDoc.doc.on('update', () => shownThere.push(there.text()))
  const { db } = device
  const batch = async () => {
    throw new Error('ENOSPC: No space left on device')
  }
  Object.assign(db, { batch })
  here.caseDoc.doc.getText('t').insert(0, 'refused')
  await vi.waitFor(() => expect(here.state().problem?.code).toBe('disk-full'))
  expect(shownThere).toEqual(['refused'])
  await vi.waitFor(() => expect(there.text()).toBe(''))
  expect(there.state()).toMatchObject({ loaded: true, unsaved: false })
  expect(here.text()).toBe('refused')
  expect(here.state().unsaved).toBe(true)
})

test('what is typed on top of what the disk refused to another window is stored with it', async () => {
  const [here, there] = [await openCase(), await openCase()]
  const theirs = () => there.caseDoc.doc.getText('t')
  there.caseDoc.doc.once('update', () => queueMicrotask(() => theirs().insert(7, ' and more')))
  const { db } = device
  const { batch } = db
  const full = async () => {
    throw new Error('ENOSPC: No space left on device')
  }
  Object.assign(db, { batch: full })
  here.caseDoc.doc.getText('t').insert(0, 'refused')
  await vi.waitFor(() => expect(here.state().problem?.code).toBe('disk-full'))
  await vi.waitFor(() => expect(there.state().problem?.code).toBe('disk-full'))
  here.caseDoc.destroy()
  Object.assign(db, { batch })
  await device.reopen(false)
  const api = casesApi({ replica: () => device.replica, newId: () => 'new', heldBy: () => [] })
  client = createLocalClient({ device: api as never, host: {} as never, log: () => {} })
  link.status.set({ kind: 'waiting', attempts: 1, stopping: false })
  link.status.set({ kind: 'open' })
  await vi.waitFor(() => expect(there.state().unsaved).toBe(false), { timeout: 8_000 })
  expect((await openCase()).text()).toBe('refused and more')
})

test('what fails without a reason is not sent again and again', async () => {
  const window = await openCase()
  const update = vi.fn(async () => {
    throw new Error('BAD_REQUEST')
  })
  client = { ...client, doc: { ...client.doc, update: update as never } }
  window.caseDoc.doc.getText('t').insert(0, 'typed')
  await new Promise((resolve) => setTimeout(resolve, 100))
  expect(update).toHaveBeenCalledTimes(1)
  expect(window.state().unsaved).toBe(true)
})

test('a case that can not be read now is said to be damaged, not gone, and stays in sight', async () => {
  const whole = client
  const data = new DeviceData(link, () => {})
  data.show('one')
  await vi.waitFor(() => expect(data.openCase.get()?.view).not.toBeNull())
  const damaged = async () => {
    throw Object.assign(new Error(), { data: { code: 'store-damaged', sentence: 'It is damaged.' } })
  }
  client = { ...whole, cases: { ...whole.cases, show: damaged as never } }
  data.refreshCase()
  await vi.waitFor(() => expect(data.openCase.get()?.problem?.code).toBe('store-damaged'))
  expect(data.openCase.get()?.view?.id).toBe('one')
  client = whole
  data.refreshCase()
  await vi.waitFor(() => expect(data.openCase.get()?.problem).toBeNull())
})
