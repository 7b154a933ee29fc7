/** What a device process is asked over IPC: the built composition root. */

import { writeFileSync } from 'node:fs'
import { Session } from 'node:inspector/promises'
import * as Y from 'yjs'
import { createDevice } from '../../dist/src/node/device.js'
import { Libp2pHost } from '../../dist/src/node/host-libp2p.js'
import * as probe from './probe.mjs'
import { clock, serve, tell } from './worker.mjs'
import { caseLines, makeCase } from './workload.mjs'

const LISTEN = ['/ip4/127.0.0.1/tcp/0']
const IMPORT_LINES = 500

let device
let stopped
let changes = []
let others = []
/** Windows on cases, as an editor keeps them: a document of their own, fed by the device. */
const windows = new Map()
let profiler
const listeners = new Set()

async function follow() {
  const { signal } = stopped
  for await (const event of device.events(signal)) {
    if (event.type === 'cases') changes.push({ at: clock(), ids: event.ids })
    for (const listener of [...listeners]) if (event.type === 'status') await listener()
  }
}

/** Resolves with the time at which `holds` was first true after a change of the status. */
function whenStatus(holds) {
  return new Promise((resolve) => {
    const listener = async () => {
      if (!(await holds())) return
      listeners.delete(listener)
      resolve(clock())
    }
    listeners.add(listener)
    void listener()
  })
}

const othersUpToDate = async () => {
  const others = (await device.device.list()).filter(({ self }) => !self)
  return others.every(({ upToDate }) => upToDate)
}

serve({
  async start(folder, { network = true, listen = LISTEN, webrtc = true }) {
    if (!webrtc) Libp2pHost.prototype.dialRtc = async () => ({ code: 'unreachable', sentence: 'Not now.' })
    device = await createDevice({
      folder,
      network,
      listen,
      lan: false,
      log: (line) => process.stderr.write(`${line}\n`),
    })
    stopped = new AbortController()
    void follow()
    return { id: device.id, addresses: device.addresses() }
  },
  async stop() {
    stopped?.abort()
    windows.clear()
    listeners.clear()
    await device?.close()
    device = undefined
  },

  /** Any function of the device's interface, by its path. */
  ask(path, input) {
    const [name, ...rest] = path.split('.').reverse()
    let owner = device
    for (const key of rest.reverse()) owner = owner[key]
    return owner[name](input)
  },
  async importWorkload(count, from = 0) {
    let lines = []
    let line = from
    for (const text of caseLines(count, from)) {
      lines.push({ line: ++line, text })
      if (lines.length < IMPORT_LINES && line < count) continue
      const { errors } = await device.cases.import({ lines, preview: false })
      if (errors.length > 0) throw new Error(errors[0].reason)
      lines = []
    }
    await device.flush()
  },
  async exportLines() {
    const lines = []
    for (let after; ; ) {
      const page = await device.cases.export({ after })
      lines.push(...page.lines)
      if (!page.more) return lines.join('\n')
      after = page.last
    }
  },

  mark() {
    changes = []
    probe.mark()
  },
  seen: () => ({ ...probe.read(), changes }),
  cpu: () => probe.cpuMilliseconds(),
  whenPeerUpToDate: (id) =>
    whenStatus(async () => (await device.device.list()).some((peer) => peer.id === id && peer.upToDate)),
  /** Notes, whenever the status changes, whether all others are known to hold everything that is held here. */
  watchOthers() {
    others = []
    listeners.add(async () => others.push({ at: clock(), upToDate: await othersUpToDate() }))
  },
  others: () => others,

  // ---- a window

  async openWindow(id) {
    if (windows.has(id)) return
    const doc = new Y.Doc()
    const closed = new AbortController()
    windows.set(id, { doc, closed })
    let first = true
    await new Promise((resolve) => {
      void (async () => {
        for await (const { update } of device.doc.open(
          { id, window: 'bench' },
          AbortSignal.any([stopped.signal, closed.signal]),
        )) {
          Y.applyUpdate(doc, Buffer.from(update, 'base64'), 'device')
          if (!first) tell({ kind: 'arrived', at: clock() })
          first = false
          resolve()
        }
      })()
    })
  },
  /** One keystroke in an open window; returns when it was struck, and what it came to. */
  async strike(id, path, [at, erase, insert]) {
    const { doc } = windows.get(id)
    let update
    doc.once('update', (bytes) => {
      update = bytes
    })
    const struck = clock()
    doc.transact(() => {
      const text = doc.getText(path)
      if (erase > 0) text.delete(at, erase)
      if (insert !== '') text.insert(at, insert)
    })
    await device.doc.update({ id, update: Buffer.from(update).toString('base64'), window: 'bench' })
    return { struck, bytes: update.length }
  },
  closeWindow(id) {
    windows.get(id)?.closed.abort()
    windows.delete(id)
  },
  windowText: (id, path) => windows.get(id).doc.getText(path).toString(),
  /** Many keystrokes, one after the other; made before, so that only the device's work is counted. */
  async strikeAll(id, path, operations) {
    const { doc } = windows.get(id)
    const updates = []
    const gather = (update) => updates.push(Buffer.from(update).toString('base64'))
    const typist = new Y.Doc()
    Y.applyUpdate(typist, Y.encodeStateAsUpdate(doc))
    typist.on('update', gather)
    const text = typist.getText(path)
    for (const [at, erase, insert] of operations) {
      typist.transact(() => {
        if (erase > 0) text.delete(at, erase)
        if (insert !== '') text.insert(at, insert)
      })
    }
    // Its window is closed: only the device's work is counted.
    windows.get(id).closed.abort()
    windows.delete(id)
    const before = probe.cpuMilliseconds()
    const began = clock()
    for (const update of updates) await device.doc.update({ id, update })
    await device.flush()
    return { ms: clock() - began, cpuMs: probe.cpuMilliseconds() - before }
  },
  /** Edits made offline, each as the window or the command line makes it. */
  async edit(edits) {
    for (const edit of edits) await editOnce(edit)
    await device.flush()
  },

  /** What is left of the heap when everything that nobody holds is gone. */
  async heapMegabytes() {
    const session = new Session()
    session.connect()
    // Twice: what finalizers let go of goes with the second.
    for (let round = 0; round < 2; round++) await session.post('HeapProfiler.collectGarbage')
    session.disconnect()
    return process.memoryUsage().heapUsed / 1e6
  },

  // ---- where the time goes

  async profileStart() {
    profiler = new Session()
    profiler.connect()
    await profiler.post('Profiler.enable')
    await profiler.post('Profiler.setSamplingInterval', { interval: 200 })
    await profiler.post('Profiler.start')
  },
  async profileStop(file) {
    const { profile } = await profiler.post('Profiler.stop')
    profiler.disconnect()
    writeFileSync(file, JSON.stringify(profile))
  },
})

async function editOnce(edit) {
  const made = makeCase(edit.case)
  const id = made.id
  switch (edit.op) {
    case 'type': {
      const length = await notesLength(id)
      let at = Math.floor(edit.at * length)
      for (const letter of edit.text)
        await device.cases.type({ id, consultation: 'c0', at: at++, erase: 0, text: letter })
      return
    }
    case 'erase': {
      const length = await notesLength(id)
      const at = Math.floor(edit.at * length)
      const erase = Math.min(edit.n, length - at)
      return device.cases.type({ id, consultation: 'c0', at, erase, text: '' })
    }
    case 'field':
      return device.cases.set({ id, fields: [[`patient.${edit.path}`, edit.value]] })
    case 'consultation':
      return device.cases.add({ id, kind: 'consultation', json: JSON.stringify(edit.value) })
    case 'tag':
      return device.cases.set({ id, fields: [[`tags.${edit.value}`, '1']] })
    case 'archive':
      return edit.value ? device.cases.archive({ ids: [id] }) : device.cases.unarchive({ ids: [id] })
  }
}

async function notesLength(id) {
  const { json } = await device.cases.show({ id })
  return JSON.parse(json).consultations.find((consultation) => consultation.id === 'c0').text.length
}
