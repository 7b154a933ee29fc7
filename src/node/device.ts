/** The composition root of a device: folder, store, roster, sync, network, and the interface over them. */
import { randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { distrust, opensAnything, type Sifted } from '../store/distrust.js'
import { keys } from '../store/keyspace.js'
import { MetaRow } from '../store/records.gen.js'
import { STORE_VERSION } from '../store/replica.js'
import { DamagedError, SealedDb, type Write, WriteFailedError } from '../store/sealed-db.js'
import { type Device, type DeviceOptions, Refused } from './api.js'
import type { DeviceEvent } from './contract.js'
import { carryApi } from './device/carry.js'
import { casesApi } from './device/cases.js'
import { configApi, Doctor } from './device/doctor.js'
import { diskFailed, openFolder } from './device/folder.js'
import { loadIdentity, renewIdentity } from './device/identity.js'
import { mailboxApi } from './device/mailbox-api.js'
import { Notes, noteWrite } from './device/notes.js'
import { practiceApi } from './device/practice.js'
import { ENROLLED, Practice } from './device/practice-state.js'
import { RosterKeeper } from './device/roster-keeper.js'
import { statusApi } from './device/status.js'
import { guarded } from './device/store-refusals.js'
import { damageSentence, StoreWatch } from './device/store-watch.js'
import { verifyDevices } from './device/verify.js'
import { nodeNatives } from './natives.js'
import { publicKeyToPeerId } from './peer-id.js'

/** Random bytes from a pool: a nonce for every stored value would be a call into the system each. */
const POOL_BYTES = 8192
let pool = new Uint8Array(0)
let used = 0
function random(length: number): Uint8Array {
  if (length > POOL_BYTES / 8) return Uint8Array.from(randomBytes(length))
  if (used + length > pool.length) {
    pool = Uint8Array.from(randomBytes(POOL_BYTES))
    used = 0
  }
  used += length
  const bytes = pool.slice(used - length, used)
  // What was given out can't be read from the pool later.
  pool.fill(0, used - length, used)
  return bytes
}

/** Opens the folder and starts the device. Throws `Refused` with a sentence for every expected failure. */
export async function createDevice(options: DeviceOptions): Promise<Device> {
  // The lock comes first: two first starts at once must not make two sets of keys.
  const folder = await openFolder(options.folder)
  try {
    return await compose(options, folder, await identityOf(options.folder, folder.isNew))
  } catch (error) {
    const isDamage = error instanceof DamagedError
    // Once: a store that was put in order already, or whose disk takes no mark, is not tried again.
    const isMarked =
      isDamage &&
      !folder.isInDoubt &&
      (await folder.doubtAtNextStart().then(
        () => true,
        () => false,
      ))
    await folder.close()
    if (!isDamage) throw error
    if (isMarked) return createDevice(options)
    throw new Refused(
      'store-damaged',
      `The store in ${options.folder} is damaged, and can't be put in order.`,
    )
  }
}

async function identityOf(folder: string, isNew: boolean) {
  try {
    return await loadIdentity(folder, isNew)
  } catch (error) {
    if (error instanceof Refused) throw error
    const code = (error as NodeJS.ErrnoException).code
    if (code === 'ENOSPC' || code === 'EDQUOT') {
      throw new Refused('disk-full', 'The disk is full. Everything so far is safe; editing is paused.')
    }
    if (code === 'EIO') throw diskFailed(folder)
    throw new Refused(
      'not-writable',
      `The folder ${folder} can't be written. Choose another with --data, or change its permissions.`,
    )
  }
}

async function compose(
  options: DeviceOptions,
  folder: Awaited<ReturnType<typeof openFolder>>,
  identity: Awaited<ReturnType<typeof loadIdentity>>,
): Promise<Device> {
  const natives = nodeNatives
  const now = () => Date.now()
  let watch: StoreWatch | undefined
  const rotten = () => void watch?.rotten()
  const db = new SealedDb({
    db: folder.db,
    natives,
    dataKey: identity.dataKey,
    random,
    compact: (from, to) => folder.compact(from, to),
    glance: (key) => folder.glance(key),
    onCorrupt: rotten,
  })
  if (folder.isInDoubt && !(await opensAnything(db)))
    throw new Refused(
      'keys-damaged',
      'Nothing in the store opens with the keys beside it. Put the right ones back.',
    )
  await checkVersion(db, folder.isInDoubt)
  const notes = new Notes(db, now)
  await notes.load()
  const keeper = new RosterKeeper(db, natives, identity, random)
  await keeper.load()
  if (db.newerVersion === undefined) await enrolCopy(keeper, folder.binding)
  const sifted = folder.isInDoubt ? await putInOrder(db, keeper, notes) : undefined

  const listeners = new Set<(event: DeviceEvent) => void>()
  const emit = (event: DeviceEvent) => {
    for (const listener of listeners) listener(event)
  }
  const practice = new Practice({
    db,
    natives,
    identity,
    keeper,
    notes,
    random,
    now,
    binding: folder.binding,
    notepad: folder.notepad,
    emit,
    log: options.log ?? (() => {}),
    // A store that may only be read can't keep what others send.
    network: options.network !== false && db.newerVersion === undefined,
    networkAfter: options.networkAfter,
    listen: options.listen ?? (notes.get('listen') === '' ? undefined : notes.get('listen').split(/[\s,]+/)),
    lan: options.lan ?? notes.get('lan') === 'true',
    sifted,
    rotten,
    async goOwnWay() {
      if (!keeper.hasRoom) throw new Error('the practice has no room for one more device')
      await renewIdentity(options.folder, identity)
      options.onRenewed?.()
    },
  })
  await practice.open()
  if (sifted) await folder.endDoubt()
  const store = new StoreWatch(options.folder, practice, folder.doubtAtNextStart)
  watch = store
  if (options.network !== false) store.start()

  const cases = casesApi({
    replica: () => practice.replica(),
    newId: () => randomBytes(10).toString('hex'),
    heldBy: (state) => practice.heldBy(state),
  })
  const version = await programVersion()
  const status = statusApi(practice, options.folder, version)
  const doctor = new Doctor(practice, options.folder, store)
  let closed: Promise<void> | undefined

  return {
    id: publicKeyToPeerId(identity.ed),
    addresses: () => practice.host?.addresses() ?? [],
    online: () => practice.online,
    ...cases,
    flush: async () => (practice.hasPractice ? cases.flush() : { ok: true }),
    ...status,
    ...practiceApi(practice),
    mailbox: mailboxApi(practice),
    carry: carryApi(practice),
    verify: () => guarded(() => verifyDevices(practice)),
    log: async () => notes.log,
    doctor: () => doctor.run(),
    config: configApi(notes, emit),
    events: (signal) => follow(listeners, signal),
    stopping: () => emit({ type: 'stopping' }),
    close: () => (closed ??= close()),
  }

  async function close(): Promise<void> {
    store.stop()
    try {
      await practice.close()
    } finally {
      await folder.close()
    }
  }
}

/** A folder that has given its keys up. Where that can't be written it stays readable, and belongs to nobody for now. */
async function enrolCopy(keeper: RosterKeeper, binding: string): Promise<void> {
  const besides = (name: string, former: Uint8Array): Write[] => [
    // The other one's word is its own from here on, and may be less than what was said here in its name.
    { key: keys.statement(former), value: undefined },
    noteWrite('home', binding),
    noteWrite(ENROLLED, name),
  ]
  await keeper.enrol(besides).catch((error: unknown) => {
    if (!(error instanceof WriteFailedError)) throw error
  })
}

/** Files under the store had rotted: what is left of it claims nothing that it may have lost. */
async function putInOrder(db: SealedDb, keeper: RosterKeeper, notes: Notes): Promise<Sifted | undefined> {
  if (db.newerVersion !== undefined) return undefined
  const sifted = await distrust(db, nodeNatives, STORE_VERSION, keeper.others().length > 0)
  await notes.say('store-damaged', damageSentence(keeper))
  return sifted
}

/** A store of a newer version is opened for reading only. */
async function checkVersion(db: SealedDb, isInDoubt: boolean): Promise<void> {
  const meta = await db.get(keys.meta()).catch((error: unknown) => {
    if (isInDoubt && error instanceof DamagedError) return undefined
    throw error
  })
  const version = meta ? MetaRow.decode(meta).version : 0
  if (version > STORE_VERSION) db.newerVersion = version
}

/** Events as an iterable that ends when the signal aborts. Hints of one kind that wait are merged. */
async function* follow(
  listeners: Set<(event: DeviceEvent) => void>,
  signal: AbortSignal | undefined,
): AsyncGenerator<DeviceEvent> {
  let queue: DeviceEvent[] = []
  let wake = () => {}
  const listener = (event: DeviceEvent) => {
    queue = merged(queue, event)
    wake()
  }
  const stop = () => wake()
  listeners.add(listener)
  signal?.addEventListener('abort', stop)
  try {
    while (!signal?.aborted) {
      const event = queue.shift()
      if (event) yield event
      else {
        await new Promise<void>((resolve) => {
          wake = resolve
        })
      }
    }
  } finally {
    listeners.delete(listener)
    signal?.removeEventListener('abort', stop)
  }
}

const MANY_IDS = 500

function merged(queue: DeviceEvent[], event: DeviceEvent): DeviceEvent[] {
  const last = queue.find((waiting) => waiting.type === event.type)
  if (!last) return [...queue, event]
  if (last.type === 'cases' && event.type === 'cases') {
    const ids = last.ids && event.ids ? [...new Set([...last.ids, ...event.ids])] : null
    last.ids = ids && ids.length <= MANY_IDS ? ids : null
  }
  return queue
}

/** From dist/program/node as from src/node: the nearest package above. */
async function programVersion(): Promise<string> {
  for (let folder = new URL('./', import.meta.url); ; folder = new URL('../', folder)) {
    const text = await readFile(new URL('package.json', folder), 'utf8').catch(() => undefined)
    if (text !== undefined) return String((JSON.parse(text) as { version: string }).version)
    if (folder.href === new URL('../', folder).href) return '0'
  }
}
