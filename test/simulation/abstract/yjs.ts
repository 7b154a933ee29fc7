/**
 * Stands for Yjs in the abstract simulator: documents are sets. An update is a list of operations, each of one client
 * at its next clock, each with a token, and of deletions; merging is union. So content costs almost nothing, while
 * clocks, bases that must be known, deletions and state vectors are as real as the store sees them.
 */

/** One operation: `token` is what it brings; it may build on what another client wrote. */
export interface Operation {
  client: number
  clock: number
  token: string
  on?: Id | undefined
}

export interface Id {
  client: number
  clock: number
}

export interface Update {
  operations: Operation[]
  /** What is deleted: the operations at these places. */
  deleted: Id[]
}

/** What lies at places: by client, then by clock. */
class Places<T> {
  private readonly byClient = new Map<number, Map<number, T>>()

  get({ client, clock }: Id): T | undefined {
    return this.byClient.get(client)?.get(clock)
  }

  has({ client, clock }: Id): boolean {
    return this.byClient.get(client)?.has(clock) ?? false
  }

  set({ client, clock }: Id, value: T): void {
    const own = this.byClient.get(client)
    if (own) own.set(clock, value)
    else this.byClient.set(client, new Map([[clock, value]]))
  }

  all(): T[] {
    return [...this.byClient.values()].flatMap((own) => [...own.values()])
  }
}

/** Bytes of an update; the same set gives the same bytes. */
export function encodeUpdate({ operations, deleted }: Update): Uint8Array {
  const out: number[] = []
  const number = (value: number) => {
    for (let rest = value; ; rest = Math.floor(rest / 128)) {
      if (rest < 128) return void out.push(rest)
      out.push((rest % 128) + 128)
    }
  }
  const id = ({ client, clock }: Id) => {
    number(client)
    number(clock)
  }
  number(operations.length)
  for (const operation of [...operations].sort(byPlace)) {
    id(operation)
    number(operation.token.length)
    for (let at = 0; at < operation.token.length; at++) out.push(operation.token.charCodeAt(at))
    number(operation.on ? 1 : 0)
    if (operation.on) id(operation.on)
  }
  number(deleted.length)
  for (const each of [...deleted].sort(byPlace)) id(each)
  return new Uint8Array(out)
}

const byPlace = (a: Id, b: Id) => a.client - b.client || a.clock - b.clock

/** The same few updates are read again and again, by every device: what was read is kept. Nobody changes it. */
const decoded = new Map<string, Update | undefined>()
const MOST_DECODED = 4096

/** Undefined for bytes that are no update. */
export function decodeUpdate(bytes: Uint8Array): Update | undefined {
  const name = toName(bytes)
  if (decoded.has(name)) return decoded.get(name)
  const update = readUpdate(bytes)
  if (decoded.size >= MOST_DECODED) decoded.clear()
  decoded.set(name, update)
  return update
}

const { latin1Slice } = Buffer.prototype
const toName = (bytes: Uint8Array): string => latin1Slice.call(bytes, 0, bytes.length)

function readUpdate(bytes: Uint8Array): Update | undefined {
  let at = 0
  let isWhole = true
  const number = (): number => {
    let value = 0
    for (let unit = 1; ; unit *= 128) {
      const byte = bytes[at++]
      if (byte === undefined) {
        isWhole = false
        return 0
      }
      value += (byte & 127) * unit
      if (byte < 128) return value
    }
  }
  const id = (): Id => ({ client: number(), clock: number() })
  const update: Update = { operations: [], deleted: [] }
  for (let left = number(); left > 0 && isWhole; left--) {
    const place = id()
    const length = number()
    let token = ''
    for (const end = at + length; at < end; at++) token += String.fromCharCode(bytes[at] ?? 0)
    const on = number() === 1 ? id() : undefined
    update.operations.push({ ...place, token, on })
  }
  for (let left = number(); left > 0 && isWhole; left--) update.deleted.push(id())
  return isWhole && at === bytes.length ? update : undefined
}

type Listener = (...given: never[]) => void

export class Doc {
  clientID = 0
  isDestroyed = false
  /** In the order in which they came. */
  readonly operations: Operation[] = []
  readonly deletions: Id[] = []
  private readonly at = new Places<Operation>()
  private readonly deleted = new Places<Id>()
  /** client → how many of its operations are here. */
  readonly store = new Map<number, number>()
  private readonly listeners = new Map<string, Listener[]>()
  private fresh: Update | undefined

  on(event: string, listener: Listener): void {
    this.listeners.set(event, [...(this.listeners.get(event) ?? []), listener])
  }

  transact<T>(work: (transaction: unknown) => T, origin: unknown = null): T {
    if (this.fresh) return work(undefined)
    const fresh: Update = { operations: [], deleted: [] }
    this.fresh = fresh
    const result = work(undefined)
    this.fresh = undefined
    if (fresh.operations.length + fresh.deleted.length > 0) {
      if (this.listeners.has('afterTransaction')) this.emit('afterTransaction', { changed: new Map() })
      if (this.listeners.has('update')) this.emit('update', encodeUpdate(fresh), origin)
    }
    return result
  }

  /** One more operation of this document's own client. */
  write(token: string, on: Id | undefined): void {
    this.take({
      operations: [{ client: this.clientID, clock: this.store.get(this.clientID) ?? 0, token, on }],
      deleted: [],
    })
  }

  erase(place: Id): void {
    this.take({ operations: [], deleted: [place] })
  }

  take({ operations, deleted }: Update): void {
    this.transact(() => {
      for (const operation of operations) {
        const { client, clock, token } = operation
        const old = this.at.get(operation)
        if (old && old.token !== token) throw new Error(`two operations at ${client}:${clock}`)
        if (old) continue
        const known = this.store.get(client) ?? 0
        if (clock !== known) throw new Error(`a gap before ${client}:${clock}`)
        this.store.set(client, known + 1)
        this.at.set(operation, operation)
        this.operations.push(operation)
        this.fresh!.operations.push(operation)
      }
      for (const place of deleted) {
        if (this.deleted.has(place)) continue
        this.deleted.set(place, place)
        this.deletions.push(place)
        this.fresh!.deleted.push(place)
      }
    })
  }

  isDeleted(place: Id): boolean {
    return this.deleted.has(place)
  }

  destroy(): void {
    this.isDestroyed = true
  }

  private emit(event: string, ...given: unknown[]): void {
    for (const listener of this.listeners.get(event) ?? []) listener(...(given as never[]))
  }
}

export function applyUpdate(doc: Doc, update: Uint8Array, origin?: unknown): void {
  const decoded = decodeUpdate(update)
  if (!decoded) throw new Error('no update')
  doc.transact(() => doc.take(decoded), origin)
}

export function encodeStateAsUpdate(doc: Doc): Uint8Array {
  return encodeUpdate({ operations: doc.operations, deleted: doc.deletions })
}

export function mergeUpdates(updates: Uint8Array[]): Uint8Array {
  const operations = new Places<Operation>()
  const deleted = new Places<Id>()
  for (const update of updates.map(decodeUpdate)) {
    for (const operation of update!.operations) operations.set(operation, operation)
    for (const place of update!.deleted) deleted.set(place, place)
  }
  return encodeUpdate({ operations: operations.all(), deleted: deleted.all() })
}

export const getState = (store: Doc['store'], client: number): number => store.get(client) ?? 0

export const findRootTypeKey = (): string => ''
