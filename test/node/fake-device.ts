/**
 * A device in memory that answers the whole contract, with no store and no network: for tests of the
 * local link and the command line. Cases live as their JSON text. One holder per folder, as with a
 * real one; the cases of a folder outlive the device.
 */
import { randomUUID } from 'node:crypto'
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Device, type DeviceOptions, Refused } from '../../src/node/api.js'
import type { DeviceEvent, ImportReport, InviteState, Status } from '../../src/node/contract.js'

interface Saved {
  id: string
  practice: { id: string; name: string } | null
  name: string
  config: Record<string, string>
  /** id → JSON text and life. */
  cases: [string, { json: string; archived: boolean; deleted: boolean }][]
}

export interface FakeDevice extends Device {
  readonly options: DeviceOptions
  /** What was asked, in order. */
  readonly calls: string[]
  emit(event: DeviceEvent): void
  listeners(): number
  /** As if another device had proved the PIN. */
  knock(name: string): void
  invite: InviteState
}

const closedInvite: InviteState = {
  open: false,
  asking: null,
  added: [],
  triesLeft: 5,
  expiresAt: null,
  closed: null,
}

export async function createFakeDevice(options: DeviceOptions): Promise<FakeDevice> {
  const { folder } = options
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const lock = join(folder, 'fake.lock')
  try {
    const held = openSync(lock, 'wx')
    writeFileSync(held, String(process.pid))
    closeSync(held)
  } catch {
    throw new Refused('in-use', `These cases are already open (process ${readFileSync(lock, 'utf8')}).`)
  }
  const store = join(folder, 'fake.json')
  const saved: Saved = existsSync(store)
    ? JSON.parse(readFileSync(store, 'utf8'))
    : { id: `fake-${randomUUID()}`, practice: null, name: 'Fake', config: { language: 'en' }, cases: [] }
  const cases = new Map(saved.cases)
  const flush = () => {
    saved.cases = [...cases]
    writeFileSync(store, JSON.stringify(saved))
  }
  const ok = { ok: true } as const
  const calls: string[] = []
  const waiting = new Set<(event: DeviceEvent) => void>()

  const find = (id: string) => {
    const found = cases.get(id)
    if (!found) throw new Refused('no-case', `There is no case ${id}.`)
    return found
  }
  const put = (id: string, json: string) => cases.set(id, { json, archived: false, deleted: false })
  const edit = (id: string, change: (value: Record<string, unknown>) => void) => {
    const value = JSON.parse(find(id).json)
    change(value)
    find(id).json = JSON.stringify(value)
  }
  const mark = (field: 'archived' | 'deleted', value: boolean) => async (input: { ids: string[] }) => {
    for (const id of input.ids) find(id)[field] = value
    return ok
  }
  const status = async (): Promise<Status> => ({
    practice: saved.practice && { ...saved.practice, pinChosen: true },
    device: { id: saved.id, name: saved.name },
    version: '0',
    cases: { total: cases.size, archived: 0, deleted: 0 },
    state: 'off',
    devices: [],
    mailbox: { configured: false, connected: false, relays: [], pendingOut: 0, pendingIn: 0 },
    transfer: null,
    store: { bytes: 0 },
    problems: [],
  })

  const device: FakeDevice = {
    options,
    calls,
    invite: closedInvite,
    id: saved.id,
    online: async () => {},
    addresses: () => [`/ip4/127.0.0.1/tcp/4001/p2p/${saved.id}`],
    stopping: () => device.emit({ type: 'stopping' }),
    async close() {
      flush()
      rmSync(lock)
    },
    emit: (event) => {
      for (const tell of waiting) tell(event)
    },
    listeners: () => waiting.size,
    knock(name) {
      device.invite = { ...device.invite, asking: { name, id: `id-of-${name}` } }
    },
    status,
    async *events() {
      const queue: DeviceEvent[] = []
      let wake = () => {}
      const tell = (event: DeviceEvent) => {
        queue.push(event)
        wake()
      }
      waiting.add(tell)
      try {
        for (;;) {
          for (let event = queue.shift(); event; event = queue.shift()) yield event
          await new Promise<void>((resolve) => {
            wake = resolve
          })
        }
      } finally {
        waiting.delete(tell)
      }
    },
    practice: {
      async create({ name, device: deviceName, pin }) {
        calls.push(`create ${name} ${deviceName} ${JSON.stringify(pin)}`)
        if (saved.practice) throw new Refused('has-practice', 'This device has a practice already.')
        saved.practice = { id: 'practice-1', name }
        saved.name = deviceName
        return { practice: 'practice-1', device: saved.id }
      },
      code: async () => ({ code: 'AAAA-BBBB', invitation: 'kartoteka:AAAA-BBBB' }),
      async join(input) {
        calls.push(`join ${JSON.stringify(input)}`)
        return { practice: 'practice-1', device: saved.id }
      },
      checkPin: async ({ pin }) => ({ ok: pin.length >= 6, sentence: pin.length >= 6 ? null : 'Too short.' }),
      async choosePin({ pin }) {
        calls.push(`choosePin ${JSON.stringify(pin)}`)
        return ok
      },
    },
    mailbox: {
      async on({ relays }) {
        calls.push(`mailbox on ${relays.join(' ')}`)
        return ok
      },
      async off() {
        calls.push('mailbox off')
        return ok
      },
      async forget({ relay }) {
        calls.push(`mailbox forget ${relay}`)
        return ok
      },
      show: async () => ({
        relays: [
          {
            address: '/dns4/relay.example.org/tcp/4001/p2p/12D3KooW',
            connected: true,
            pending: [{ recipient: 'id-2', name: 'Laptop', count: 3, bytes: 1536, oldest: 7_200_000 }],
            safetyCopy: { count: 0, bytes: 0 },
            record: null,
          },
        ],
        pendingTotal: 3,
      }),
      test: async () => ({ ok: true, sentence: 'The relay answers.' }),
    },
    carry: {
      async *out() {
        const lacks = [...cases.keys()].filter((id) => id.startsWith('damaged'))
        yield { data: Buffer.from('carried').toString('base64'), ...(lacks.length > 0 && { lacks }) }
      },
      async in({ data, last }) {
        calls.push(`carry in ${Buffer.from(data, 'base64')} ${last}`)
        return { envelopes: 1, taken: 1, received: 2 }
      },
    },
    device: {
      list: async () => [
        {
          id: saved.id,
          name: saved.name,
          self: true,
          lastSeen: null,
          upToDate: true,
          behind: 0,
          collectsMail: false,
          removed: false,
        },
      ],
      async rename({ name }) {
        saved.name = name
        return ok
      },
      async address(input) {
        calls.push(`address ${JSON.stringify(input)}`)
        return ok
      },
      async invite({ pin, minutes, yes }) {
        calls.push(`invite ${JSON.stringify(pin)} ${minutes} ${yes}`)
        device.invite = { ...closedInvite, open: true, expiresAt: Date.now() + minutes * 60_000 }
        return { code: 'AAAA-BBBB', invitation: 'kartoteka:AAAA', expiresAt: 1, triesLeft: 5 }
      },
      inviteState: async () => device.invite,
      async answer({ add }) {
        calls.push(`answer ${add}`)
        const { asking } = device.invite
        const added = add && asking ? [{ id: asking.id, name: asking.name }] : []
        device.invite = { ...closedInvite, added, closed: add ? 'used' : 'cancelled' }
        return ok
      },
      async closeInvite() {
        device.invite = { ...closedInvite, closed: 'cancelled' }
        return ok
      },
    },
    cases: {
      list: async ({ deleted }) =>
        [...cases]
          .filter(([, { deleted: gone }]) => deleted || !gone)
          .map(([id, { json, archived, deleted: gone }]) => {
            const { firstName = '', lastName = '' } = JSON.parse(json).patient ?? {}
            return {
              id,
              name: `${firstName} ${lastName}`.trim(),
              firstName,
              lastName,
              birthYear: null,
              drawer: null,
              archived,
              deleted: gone,
              lateEdits: false,
              conflicts: 0,
              lastConsultation: null,
            }
          }),
      show: async ({ id }) => ({ json: find(id).json }),
      async create({ json }) {
        const id = randomUUID()
        put(id, json ?? '{}')
        return { id }
      },
      async set({ id, fields }) {
        edit(id, (value) => {
          for (const [path, text] of fields) value[path] = text
        })
        return ok
      },
      choose: async () => ok,
      async add({ id, kind, json }) {
        edit(id, (value) => {
          value[kind] = json
        })
        return { id: 'record-1' }
      },
      remove: async () => ok,
      async type(input) {
        calls.push(`type ${JSON.stringify(input)}`)
        return ok
      },
      archive: mark('archived', true),
      unarchive: mark('archived', false),
      delete: mark('deleted', true),
      restore: mark('deleted', false),
      async import({ lines, preview }) {
        calls.push(`import ${lines.length}`)
        const report: ImportReport = { added: 0, merged: 0, unchanged: 0, errors: [] }
        for (const { line, text } of lines) {
          try {
            const { id } = JSON.parse(text)
            if (typeof id !== 'string') throw new Error('no id')
            report[cases.has(id) ? 'unchanged' : 'added']++
            if (cases.has(id) && find(id).json !== text)
              report.replaced = [...(report.replaced ?? []), { line, id, field: 'all', was: find(id).json }]
            if (!preview) put(id, text)
          } catch {
            report.errors.push({ line, reason: 'It is not a case.' })
          }
        }
        return report
      },
      async export({ only, after }) {
        const ids = [...cases.keys()].filter((id) => !only || only.includes(id)).sort()
        const page = ids.filter((id) => after === undefined || id > after).slice(0, 100)
        const last = page.at(-1) ?? null
        const unreadable = page.filter((id) => id.startsWith('damaged'))
        const lines = page.filter((id) => !unreadable.includes(id)).map((id) => find(id).json)
        return { lines, unreadable, last, more: last !== null && last !== ids.at(-1) }
      },
    },
    search: async ({ text }) =>
      [...cases]
        .filter(([, { json }]) => json.includes(text))
        .map(([id]) => ({ id, in: 'patient', snippet: text })),
    doc: {
      async *open({ id }) {
        find(id)
        yield { update: 'AAA=' }
      },
      update: async () => ok,
    },
    sync: async () => ({ sent: 1, received: 2 }),
    wait: async ({ for: what, timeoutSeconds }) => {
      calls.push(`wait ${what} ${timeoutSeconds}`)
      return { met: timeoutSeconds > 1, status: await status() }
    },
    verify: async () => ({ identical: true, devices: [] }),
    log: async () => [{ at: 0, code: 'started', text: 'Started.' }],
    doctor: async () => [{ check: 'store', ok: false, sentence: 'The store is odd.', fix: 'Mend it.' }],
    config: {
      get: async () => saved.config,
      async set({ key, value }) {
        if (key === 'boom') throw new TypeError('secret detail')
        saved.config[key] = value
        return ok
      },
    },
    async flush() {
      calls.push('flush')
      flush()
      return ok
    },
  }
  return device
}
