/** A device with cases in memory, for trying the window without a store and without a network. */
import * as Y from 'yjs'
import type { DeviceApi } from '../../src/node/api.js'
import { Refused } from '../../src/node/api.js'
import type {
  CaseListRow,
  DeviceEvent,
  ImportReport,
  InviteState,
  Refusal,
  Status,
} from '../../src/node/contract.js'
import { FakeMailbox } from './fake-mailbox.js'

type Fields = Record<string, string>
interface Consultation extends Fields {
  id: string
}
interface FakeCase {
  id: string
  patient: Fields
  drawer: string
  archived: boolean
  deleted: boolean
  lateEdits: boolean
  conflicts: { field: string; value: string; others: string[] }[]
  consultations: Consultation[]
  prescriptions: Consultation[]
  doc: Y.Doc
}

const first = 'Zofia Łucja Małgorzata Bożena Paweł Michał Żaneta Anna Jan Piotr Józef Ewa Adam Łukasz'.split(
  ' ',
)
const last =
  'Kowalska Nowak Wiśniewska Wójcik Kamiński Zieliński Dąbrowski Mazur Źrebiec Żółć Ławniczak'.split(' ')
const drawers = ['Patients', 'Patients', 'Patients', 'Colleagues', 'Study', 'Seminars', 'Other', 'Żłobek']
const notes = [
  'Headache since the morning, worse from light and noise, better lying still in a dark room. ',
  'Sleep restless, wakes about three. Thirst for cold water in small sips.\n\n',
  'Mood: tearful when alone, better in company and in the open air. ',
  'Follow up in four weeks. Repeat only if the improvement stops.\n',
]

/** Hands events to everyone who listens. */
class Feed<T> {
  readonly #listeners = new Set<(event: T) => void>()

  send(event: T): void {
    for (const listener of this.#listeners) listener(event)
  }

  async *follow(signal?: AbortSignal): AsyncGenerator<T> {
    const queue: T[] = []
    let wake = () => {}
    const listener = (event: T) => {
      queue.push(event)
      wake()
    }
    this.#listeners.add(listener)
    const aborted = () => wake()
    signal?.addEventListener('abort', aborted)
    try {
      while (!signal?.aborted) {
        const event = queue.shift()
        if (event !== undefined) yield event
        else
          await new Promise<void>((resume) => {
            wake = resume
          })
      }
    } finally {
      this.#listeners.delete(listener)
    }
  }
}

export interface FakeOptions {
  cases?: number
  practice?: boolean
  /** False: the practice was made without a Cloud PIN. */
  pinChosen?: boolean
  settings?: Record<string, string>
}

export class FakeDevice {
  readonly byId = new Map<string, FakeCase>()
  readonly settings: Record<string, string>
  readonly calls: string[] = []
  lastShown = ''
  practiceName: string | null
  devices: Status['devices']
  /** The cloud mailbox and what is carried by file. */
  readonly mail = new FakeMailbox((call) => {
    this.calls.push(call)
    this.statusChanged()
  })
  problems: Refusal[] = []
  transfer: Status['transfer'] = null
  /** Answers of `cases.show` wait for this. */
  showGate: Promise<void> | null = null
  happened: { at: number; code: string; text: string }[] = []
  pinChosen: boolean
  inviteState: InviteState = noInvite
  /** Thrown by the next field write, say for a full disk. */
  refuseWrites: Refused | null = null
  readonly #events = new Feed<DeviceEvent>()
  #nextId = 0

  constructor({ cases = 0, practice = true, pinChosen = true, settings = {} }: FakeOptions = {}) {
    this.settings = { language: 'en', theme: 'light', ...settings }
    this.pinChosen = pinChosen
    this.practiceName = practice ? 'Praktyka Lipowa' : null
    this.devices = [device({ id: 'self', name: 'Office', self: true })]
    for (let index = 0; index < cases; index++) this.#generate(index)
  }

  /** What another device typed arrives. */
  remoteType(id: string, consultation: string, at: number, text: string): void {
    const theirs = new Y.Doc()
    const mine = this.#case(id).doc
    Y.applyUpdate(theirs, Y.encodeStateAsUpdate(mine))
    theirs.getText(`text:consultations/${consultation}`).insert(at, text)
    Y.applyUpdate(mine, Y.encodeStateAsUpdate(theirs))
    this.changed([id])
  }

  get mailbox(): Status['state'] {
    return this.mail.state
  }

  set mailbox(state: Status['state']) {
    this.mail.state = state
  }

  changed(ids: string[] | null): void {
    this.#events.send({ type: 'cases', ids })
  }

  statusChanged(): void {
    this.#events.send({ type: 'status' })
  }

  setInvite(state: Partial<InviteState>): void {
    this.inviteState = { ...this.inviteState, ...state }
    this.#events.send({ type: 'invite' })
  }

  stopping(): void {
    this.#events.send({ type: 'stopping' })
  }

  notesOf(id: string, consultation: string): string {
    return this.#case(id).doc.getText(`text:consultations/${consultation}`).toString()
  }

  /** Cases that an export can't read. */
  unreadable: string[] = []

  readonly api: DeviceApi = {
    status: async () => this.#status(),
    events: (signal) => this.#events.follow(signal),
    practice: {
      create: async ({ name, device: deviceName, pin }) => {
        this.practiceName = name
        this.pinChosen = pin !== undefined
        this.devices[0]!.name = deviceName
        return { practice: 'practice', device: 'self' }
      },
      code: async () => ({ code: 'ABCDEF-GHJKMN-PQRSTV', invitation }),
      join: async ({ pin, code, relays }, signal) => {
        this.calls.push(`join ${code ?? ''} ${relays.join(' ')}`)
        if (code === 'unanswered') {
          await new Promise((resolve) => signal?.addEventListener('abort', resolve))
          this.calls.push('join given up')
          throw new Refused('cancelled', 'Adding the device was cancelled.')
        }
        if (code === 'nonsense')
          throw new Refused('not-a-code', 'That is not a practice code. It has 18 characters.')
        if (pin !== 'lipa-1234')
          throw new Refused('wrong-pin', 'The PIN doesn’t match, or that isn’t your device. 3 tries left.')
        this.practiceName = 'Praktyka Lipowa'
        return { practice: 'practice', device: 'self' }
      },
      checkPin: async ({ pin }) =>
        pin.length < 6
          ? { ok: false, sentence: 'A Cloud PIN has at least six characters.' }
          : { ok: true, sentence: null },
      choosePin: async ({ pin }) => {
        this.calls.push(`choosePin ${pin}`)
        this.pinChosen = true
        this.statusChanged()
        return { ok: true }
      },
    },
    mailbox: this.mail.mailbox,
    carry: this.mail.carry,
    device: {
      list: async () => this.devices.map((one) => ({ ...one, removed: false })),
      rename: async ({ id, name }) => {
        const found = this.devices.find((one) => one.id === id)
        if (found) found.name = name
        this.statusChanged()
        return { ok: true }
      },
      address: async () => ({ ok: true }),
      invite: async () => {
        const expiresAt = Date.now() + 10 * 60_000
        this.inviteState = { ...noInvite, open: true, closed: null, expiresAt, triesLeft: 5 }
        return { code: 'ABCDEF-GHJKMN-PQRSTV', invitation, expiresAt, triesLeft: 5 }
      },
      inviteState: async () => this.inviteState,
      answer: async ({ add }) => {
        const asking = this.inviteState.asking
        if (add && asking) {
          this.devices.push(device({ id: asking.id, name: asking.name, connected: true, path: 'lan' }))
          this.setInvite({ open: false, asking: null, added: [asking], closed: 'used' })
          this.statusChanged()
        } else this.setInvite({ asking: null })
        return { ok: true }
      },
      closeInvite: async () => {
        this.setInvite({ open: false, closed: 'cancelled' })
        return { ok: true }
      },
    },
    cases: {
      list: async ({ deleted }) =>
        [...this.byId.values()].filter((one) => deleted || !one.deleted).map(rowOf),
      show: async ({ id }) => {
        this.lastShown = id
        await this.showGate
        return { json: JSON.stringify(this.#shown(this.#case(id))) }
      },
      create: async ({ json }) => {
        const given = JSON.parse(json ?? '{}') as { drawer?: string }
        const made = this.#put(`new-${this.#nextId++}`, {}, given.drawer ?? '')
        this.changed([made.id])
        return { id: made.id }
      },
      set: async ({ id, fields }) => {
        if (this.refuseWrites) throw this.refuseWrites
        this.calls.push(`set ${fields.map(([field]) => field).join(' ')}`)
        const found = this.#case(id)
        for (const [field, value] of fields) setField(found, field, value)
        this.changed([id])
        return { ok: true }
      },
      choose: async ({ id, field, json }) => {
        const found = this.#case(id)
        setField(found, field, JSON.parse(json) as string)
        found.conflicts = found.conflicts.filter((conflict) => conflict.field !== field)
        this.changed([id])
        return { ok: true }
      },
      add: async ({ id, kind, json }) => {
        const list = kind === 'consultation' ? 'consultations' : 'prescriptions'
        const record = { ...(JSON.parse(json) as Fields), id: `r${this.#nextId++}` }
        this.#case(id)[list].push(record)
        this.changed([id])
        return { id: record.id }
      },
      remove: async ({ id, list, record }) => {
        const found = this.#case(id)
        if (list === 'consultations' || list === 'prescriptions')
          found[list] = found[list].filter((one) => one.id !== record)
        this.changed([id])
        return { ok: true }
      },
      type: async () => ({ ok: true }),
      archive: async ({ ids }) => this.#mark(ids, { archived: true }),
      unarchive: async ({ ids }) => this.#mark(ids, { archived: false }),
      delete: async ({ ids }) => this.#mark(ids, { deleted: true }),
      restore: async ({ ids }) => this.#mark(ids, { deleted: false, lateEdits: false }),
      import: async ({ lines, preview }) => {
        const report: ImportReport = { added: 0, merged: 0, unchanged: 0, errors: [] }
        for (const { line, text } of lines) {
          try {
            const { id, patient } = JSON.parse(text) as { id: string; patient: Fields }
            const was = this.byId.get(id)?.patient.phone
            if (was && patient.phone && was !== patient.phone) {
              report.replaced = [...(report.replaced ?? []), { line, id, field: 'patient.phone', was }]
              report.merged++
            } else if (this.byId.get(id)?.deleted) {
              report.unchanged++
              report.deleted = (report.deleted ?? 0) + 1
            } else report[this.byId.has(id) ? 'unchanged' : 'added']++
            if (!preview && (report.replaced || !this.byId.has(id))) this.#put(id, patient, '')
          } catch {
            report.errors.push({ line, reason: 'This line is not JSON.' })
          }
        }
        this.changed(null)
        return report
      },
      export: async ({ after }) => {
        const all = [...this.byId.values()]
          .filter((one) => !one.deleted)
          .sort((a, b) => (a.id < b.id ? -1 : 1))
        const from = after === undefined ? 0 : all.findIndex((one) => one.id === after) + 1
        const page = all.slice(from, from + 1000)
        const lines = page.map(({ id, patient }) => JSON.stringify({ id, patient }))
        return {
          lines,
          unreadable: this.unreadable,
          last: page.at(-1)?.id ?? null,
          more: from + page.length < all.length,
        }
      },
    },
    search: async () => [],
    doc: {
      open: ({ id }, signal) => this.#openDoc(id, signal),
      update: async ({ id, update }) => {
        this.calls.push('update')
        Y.applyUpdate(this.#case(id).doc, Buffer.from(update, 'base64'))
        this.changed([id])
        return { ok: true }
      },
    },
    sync: async () => {
      this.calls.push('sync')
      return { sent: 3, received: 1 }
    },
    wait: async () => ({ met: true, status: this.#status() }),
    verify: async () => ({ identical: true, devices: [] }),
    log: async () => this.happened,
    doctor: async () => [],
    config: {
      get: async () => this.settings,
      set: async ({ key, value }) => {
        this.settings[key] = value
        return { ok: true }
      },
    },
    flush: async () => ({ ok: true }),
  }

  #status(): Status {
    const all = [...this.byId.values()]
    return {
      practice:
        this.practiceName === null
          ? null
          : { id: 'practice', name: this.practiceName, pinChosen: this.pinChosen },
      device: { id: 'self', name: this.devices[0]?.name ?? '' },
      version: '0.1.0',
      cases: {
        total: all.length,
        archived: all.filter((one) => one.archived).length,
        deleted: all.filter((one) => one.deleted).length,
      },
      state: this.mailbox,
      devices: this.devices.map((one) => ({ ...one })),
      mailbox: this.mail.status(),
      transfer: this.transfer,
      store: { bytes: 0 },
      problems: this.problems,
    }
  }

  #case(id: string): FakeCase {
    const found = this.byId.get(id)
    if (!found) throw new Refused('no-case', 'There is no such case on this device.')
    return found
  }

  async #mark(ids: string[], change: Partial<FakeCase>): Promise<{ ok: true }> {
    for (const id of ids) Object.assign(this.#case(id), change)
    this.changed(ids)
    return { ok: true }
  }

  async *#openDoc(id: string, signal?: AbortSignal): AsyncGenerator<{ update: string }> {
    const { doc } = this.#case(id)
    const feed = new Feed<Uint8Array>()
    const updated = (update: Uint8Array) => feed.send(update)
    doc.on('update', updated)
    const following = feed.follow(signal)
    try {
      const next = following.next()
      yield { update: base64(Y.encodeStateAsUpdate(doc)) }
      for (let step = await next; !step.done; step = await following.next())
        yield { update: base64(step.value) }
    } finally {
      doc.off('update', updated)
    }
  }

  #shown(found: FakeCase) {
    const { doc, ...rest } = found
    const heldBy = this.devices.filter((one) => one.self || one.upToDate).map((one) => one.id)
    const consultations = found.consultations.map((one) => ({
      ...one,
      text: doc.getText(`text:consultations/${one.id}`).toString(),
    }))
    return { ...rest, consultations, heldBy }
  }

  #put(id: string, patient: Fields, drawer: string): FakeCase {
    const made: FakeCase = {
      id,
      patient,
      drawer,
      archived: false,
      deleted: false,
      lateEdits: false,
      conflicts: [],
      consultations: [],
      prescriptions: [],
      doc: new Y.Doc(),
    }
    this.byId.set(id, made)
    return made
  }

  #generate(index: number): void {
    const pick = <T>(list: readonly T[], salt: number) => list[(index * 7919 + salt * 104729) % list.length]!
    const made = this.#put(
      `case-${String(index).padStart(6, '0')}`,
      {
        firstName: pick(first, 1),
        lastName: pick(last, 2),
        birthDate: `${1940 + ((index * 13) % 80)}-0${1 + (index % 9)}-1${index % 10}`,
        sex: index % 2 ? 'F' : 'M',
        phone: `+48 600 ${100 + (index % 900)} 222`,
        email: `p${index}@example.pl`,
        address: `ul. Lipowa ${1 + (index % 90)}, 90-001 Łódź`,
      },
      pick(drawers, 3),
    )
    made.archived = index % 11 === 5
    made.deleted = index % 97 === 50
    made.lateEdits = made.deleted && index % 2 === 0
    for (let visit = 0; visit < 1 + (index % 4); visit++) {
      const id = `c${visit}`
      made.consultations.push({
        id,
        date: `20${20 + visit}-0${1 + (index % 9)}-0${1 + visit}`,
        kind: visit ? 'follow-up' : 'first',
      })
      const text = made.doc.getText(`text:consultations/${id}`)
      text.insert(0, [0, 1, 2, 3].map((part) => notes[(index + visit + part) % notes.length]).join(''))
      text.format(0, 8, { bold: true })
    }
    if (index % 2 === 0)
      made.prescriptions.push(
        { id: 'p0', date: '2023-05-02', remedy: 'Lachesis muta', potency: '200C', dose: 'once', note: '' },
        {
          id: 'p1',
          date: '2024-01-15',
          remedy: 'Natrum muriaticum',
          potency: '30C',
          dose: 'daily',
          note: '',
        },
      )
  }
}

const noInvite: InviteState = {
  open: false,
  asking: null,
  added: [],
  triesLeft: 5,
  expiresAt: null,
  closed: null,
}

const invitation =
  'kartoteka:ABCDEF-GHJKMN-PQRSTV?at=/dns4/relay.example.org/tcp/4001/p2p/12D3KooWQYhTNQdmr3ArTeUHRYzFg94BKyTkoWBDWez9kSCVe2Xo'

export function device(part: Partial<Status['devices'][number]>): Status['devices'][number] {
  return {
    id: 'device',
    name: 'Laptop',
    self: false,
    path: 'none',
    connected: false,
    lastSeen: null,
    upToDate: true,
    behind: 0,
    collectsMail: false,
    ...part,
  }
}

function setField(found: FakeCase, field: string, value: string): void {
  if (field === 'drawer') {
    found.drawer = value
    return
  }
  const [list, ...rest] = field.split('.')
  const name = rest.at(-1) ?? ''
  if (list === 'patient') found.patient[name] = value
  else if (list === 'consultations' || list === 'prescriptions') {
    const record = found[list].find((one) => one.id === rest[0])
    if (record) record[name] = value
  }
}

function rowOf(found: FakeCase): CaseListRow {
  const { firstName = '', lastName = '', birthDate = '' } = found.patient
  return {
    id: found.id,
    name: [firstName, lastName].filter(Boolean).join(' '),
    firstName,
    lastName,
    birthYear: birthDate ? Number(birthDate.slice(0, 4)) : null,
    drawer: found.drawer || null,
    archived: found.archived,
    deleted: found.deleted,
    lateEdits: found.lateEdits,
    conflicts: found.conflicts.length,
    lastConsultation:
      found.consultations
        .map((one) => one.date ?? '')
        .sort()
        .at(-1) || null,
  }
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64')
}
