/** What is typed while the device can't be reached is kept, and sent when it is back. */
import { expect, test, vi } from 'vitest'
import { Refused } from '../../src/node/api.js'
import { createLocalClient } from '../../src/node/router.js'
import { CaseDocs } from '../../ui/editor/case-doc.js'
import type { Client, DeviceLink, LinkStatus } from '../../ui/state/client.js'
import { DeviceData } from '../../ui/state/device-data.js'
import { FieldSaver, saveAfterMs } from '../../ui/state/saver.js'
import { createStore } from '../../ui/state/store.js'
import { FakeDevice } from './fake-device.js'

const id = 'case-000000'
const notes = 'text:consultations/c0'

/** A link that can be cut and taken up again. */
function cuttableLink(device: FakeDevice) {
  const status = createStore<LinkStatus>({ kind: 'linking' })
  let client: Client | null = null
  const link: DeviceLink = { status, client: () => client }
  return {
    link,
    open() {
      const host = { windowUrl: async () => ({ url: '' }) } as never
      client = createLocalClient({ device: device.api as never, host, log: () => {} })
      status.set({ kind: 'open' })
    },
    cut() {
      client = null
      status.set({ kind: 'waiting', attempts: 1, stopping: false })
    },
  }
}

test('opening and leaving a case sends nothing', async () => {
  const device = new FakeDevice({ cases: 3 })
  const { link, open } = cuttableLink(device)
  open()
  const { caseDoc, release } = new CaseDocs(link).acquire(id)
  await vi.waitFor(() => expect(caseDoc.state.get().loaded).toBe(true))
  release()
  expect(device.calls).toEqual([])
})

test('notes typed during an interruption are sent after it, also when their case was left', async () => {
  const device = new FakeDevice({ cases: 1 })
  const { link, open, cut } = cuttableLink(device)
  open()
  const docs = new CaseDocs(link)
  const { caseDoc, release } = docs.acquire(id)
  await vi.waitFor(() => expect(caseDoc.state.get().loaded).toBe(true))
  cut()
  caseDoc.doc.getText(notes).insert(0, 'typed ')
  caseDoc.doc.getText(notes).insert(6, 'offline ')
  device.remoteType(id, 'c0', 0, 'theirs ')
  release()
  expect(docs.unsaved()).toBe(true)
  open()
  await vi.waitFor(() => expect(docs.unsaved()).toBe(false))
  expect(device.notesOf(id, 'c0')).toContain('typed offline ')
  expect(device.notesOf(id, 'c0')).toContain('theirs ')
})

test('a case taken up again while it is still being saved is the same document', async () => {
  const device = new FakeDevice({ cases: 1 })
  const { link, open, cut } = cuttableLink(device)
  open()
  const docs = new CaseDocs(link)
  const first = docs.acquire(id)
  await vi.waitFor(() => expect(first.caseDoc.state.get().loaded).toBe(true))
  cut()
  first.caseDoc.doc.getText(notes).insert(0, 'x')
  first.release()
  expect(docs.acquire(id).caseDoc).toBe(first.caseDoc)
})

test('fields typed during an interruption are saved after it', async () => {
  const device = new FakeDevice({ cases: 1 })
  const { link, open, cut } = cuttableLink(device)
  cut()
  const saver = new FieldSaver(link, () => {})
  saver.type(id, 'patient.firstName', 'Ewa', '')
  await saver.flush(id)
  expect(saver.unsaved()).toBe(true)
  open()
  await vi.waitFor(() => expect(saver.unsaved()).toBe(false))
  expect(device.byId.get(id)?.patient.firstName).toBe('Ewa')
})

test('what was typed a moment ago is sent at once when the device says that it stops', async () => {
  const device = new FakeDevice({ cases: 1 })
  const { link, open } = cuttableLink(device)
  open()
  let isStopping = false
  const data = new DeviceData(link, () => {
    isStopping = true
  })
  await vi.waitFor(() => expect(data.rows.get()).not.toBeNull())
  data.saver.type(id, 'patient.firstName', 'Ewa', '')
  device.stopping()
  await vi.waitFor(() => expect(isStopping).toBe(true), { interval: 1 })
  await vi.waitFor(() => expect(data.saver.unsaved()).toBe(false), { interval: 1, timeout: saveAfterMs / 2 })
})

test('a refused value stays beside its reason, and is saved once the device takes it', async () => {
  const device = new FakeDevice({ cases: 1 })
  const { link, open } = cuttableLink(device)
  open()
  const saver = new FieldSaver(link, () => {})
  device.refuseWrites = new Refused('disk-full', 'The disk is full.')
  saver.type(id, 'patient.firstName', 'Ewa', '')
  await saver.flush(id)
  expect(saver.pending.get().get(id)?.problem?.code).toBe('disk-full')
  device.refuseWrites = null
  await saver.flush(id)
  expect(saver.unsaved()).toBe(false)
})
