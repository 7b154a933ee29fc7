/**
 * Documents that are open: one Y.Doc per case, kept while somebody edits it or it was used a moment ago.
 * Local edits become changes at once; what follows gathers while a write is under way. While nobody is connected,
 * letters are jotted down first (jottings.ts). Edits that come in from elsewhere reach the document through the same batch that
 * stores them.
 */
import * as Y from 'yjs'
import { inspectUpdate } from '../cases/inspect.js'
import { TEXT_PREFIX } from '../cases/schema.js'
import { type Clocks, fits, type UpdateContents } from '../protocol/content.js'
import { KIND_UPDATE } from '../protocol/log.js'
import { decodeParts, MissingPartError, UNNAMED } from './case-content.js'
import { isDamage } from './case-table.js'
import { Jottings } from './jottings.js'
import { keys } from './keyspace.js'
import type { AppendOutcome, Replica } from './replica.js'
import { proveRows } from './rows.js'

/** Origin of updates that come from the store; they are not appended again. */
const STORED = Symbol('stored')
const IDLE_DOCUMENTS = 16
const DONE: Promise<AppendOutcome> = Promise.resolve({ ok: true })

interface OpenDoc {
  key: Uint8Array
  doc: Y.Doc
  users: number
  /** Something but the letters of texts has changed since the list row was projected. */
  rowIsStale: boolean
  /** Of the newest edit here. */
  lastWritten: Promise<AppendOutcome>
}

interface PendingEdit {
  caseId: string
  from: Y.Doc
  /** Confirmed, as all of it is jotted down. */
  isJotted: boolean
  updates: Uint8Array[]
  settle: ((outcome: AppendOutcome) => void)[]
  fail: ((error: unknown) => void)[]
}

export class Documents {
  private readonly docs = new Map<string, OpenDoc>()
  /** How many wait for each case's document. */
  private readonly awaited = new Map<string, number>()
  private readonly loading = new Map<string, Promise<OpenDoc>>()
  private pending: PendingEdit[] = []
  /** Those that are only jotted down: until their change is written, or for ever where the disk refuses it. */
  private readonly onlyJotted = new Set<PendingEdit>()
  private draining: Promise<void> | undefined
  private lastEdit: Promise<AppendOutcome> | undefined
  private readonly jottings: Jottings

  constructor(private readonly replica: Replica) {
    this.jottings = new Jottings(replica)
  }

  /** The case's document, kept until `release`. A case that isn't there gives an empty document. */
  async open(caseId: string): Promise<Y.Doc> {
    return (await this.hold(caseId)).doc
  }

  /** Counted before it is loaded: a document that somebody waits for is never evicted under them. */
  private async hold(caseId: string): Promise<OpenDoc> {
    this.awaited.set(caseId, (this.awaited.get(caseId) ?? 0) + 1)
    try {
      const entry = await this.load(caseId)
      entry.users++
      return entry
    } finally {
      const left = this.awaited.get(caseId)! - 1
      if (left > 0) this.awaited.set(caseId, left)
      else this.awaited.delete(caseId)
    }
  }

  private letGo(entry: OpenDoc): void {
    if (entry.users > 0) entry.users--
    this.evict()
  }

  isOpen(caseId: string): boolean {
    return this.docs.has(caseId)
  }

  /** Somebody has the case's document open just now. */
  isWatched(caseId: string): boolean {
    return (this.docs.get(caseId)?.users ?? 0) > 0
  }

  /** Is this the document that follows the case? One that was closed may have been opened anew. */
  isCurrent(caseId: string, doc: Y.Doc): boolean {
    return this.docs.get(caseId)?.doc === doc
  }

  /** The open document, if the list row must be projected from it anew; until it changes again it then counts as done. */
  takeStaleRow(caseId: string): boolean {
    const entry = this.docs.get(caseId)
    if (!entry) return true
    const { rowIsStale } = entry
    entry.rowIsStale = false
    return rowIsStale
  }

  /** Whoever has it open must read it again. */
  forget(caseId: string): void {
    this.discard(caseId)
  }

  release(caseId: string): void {
    const entry = this.docs.get(caseId)
    if (entry && entry.users > 0) entry.users--
    this.evict()
  }

  /**
   * One edit of a case by its own device, in one transaction. Returns once it is written.
   * An edit that must be refused (too large) leaves neither the store nor the document changed.
   */
  async edit<T>(
    caseId: string,
    change: (doc: Y.Doc) => T,
    origin?: string,
  ): Promise<{ result: T; outcome: AppendOutcome; changed: boolean }> {
    const entry = await this.hold(caseId)
    const { doc } = entry
    try {
      if (doc.isDestroyed) throw new Error('the document was closed under an edit')
      this.lastEdit = undefined
      const result = doc.transact(() => change(doc), origin)
      const written = this.lastEdit as Promise<AppendOutcome> | undefined
      // What changes nothing says again what may not be written yet.
      return { result, outcome: await (written ?? entry.lastWritten), changed: written !== undefined }
    } finally {
      this.letGo(entry)
    }
  }

  /** An update typed in a window, whose name becomes the origin of the document's update. */
  async applyEdit(
    caseId: string,
    update: Uint8Array,
    window?: string,
  ): Promise<AppendOutcome | { ok: false; code: 'unfit' }> {
    // Looked at before it touches the document: a broken update could leave a part of itself behind.
    const contents = inspectUpdate(update)
    if ('error' in contents) return { ok: false, code: 'unfit' }
    const apply = (doc: Y.Doc): boolean => {
      if (!fits(contents, clocksIn(doc, contents))) return false
      Y.applyUpdate(doc, update)
      return true
    }
    const { result, outcome } = await this.edit(caseId, apply, window)
    return result ? outcome : { ok: false, code: 'unfit' }
  }

  /** Brings an open document up to a draft that is about to be stored. */
  catchUp(caseId: string, updates: Uint8Array[], dropped: boolean): Y.Doc | undefined {
    const entry = this.docs.get(caseId)
    if (!entry) return undefined
    if (dropped) {
      this.discard(caseId)
      return undefined
    }
    if (updates.length === 0) return entry.doc
    entry.doc.transact(() => {
      for (const update of updates) Y.applyUpdate(entry.doc, update, STORED)
    }, STORED)
    return entry.doc
  }

  /** How many changes will be made of what is only jotted down now. */
  get jotted(): number {
    return this.onlyJotted.size
  }

  /** Something of this case is only jotted down. */
  isJotted(caseId: string): boolean {
    for (const edit of this.onlyJotted) if (edit.caseId === caseId) return true
    return false
  }

  /**
   * What is confirmed of this case, and becomes a change at the next start only, as the disk has refused it. Until then
   * nothing is written, so nothing builds on it.
   */
  unwritten(caseId: string): Uint8Array[] {
    if (!this.replica.db.failed) return []
    return [...this.onlyJotted].flatMap((edit) => (edit.caseId === caseId ? edit.updates : []))
  }

  /** Found in the notepad by a start whose disk refuses to store it. */
  keepUnwritten(caseId: string, update: Uint8Array): void {
    this.onlyJotted.add({
      caseId,
      from: new Y.Doc(UNNAMED),
      isJotted: true,
      updates: [update],
      settle: [],
      fail: [],
    })
  }

  /** Everything typed so far has become changes, and is written. */
  async settle(): Promise<void> {
    await this.draining
    if (this.pending.length > 0) await this.drain()
  }

  private async load(caseId: string): Promise<OpenDoc> {
    const known = this.docs.get(caseId)
    if (known) {
      this.docs.delete(caseId)
      this.docs.set(caseId, known)
      return known
    }
    let loading = this.loading.get(caseId)
    if (!loading) {
      // Alone with the writer: no change may slip between reading the parts and following new ones.
      loading = this.replica.exclusive(() => this.build(caseId)).finally(() => this.loading.delete(caseId))
      this.loading.set(caseId, loading)
    }
    return loading
  }

  private async build(caseId: string): Promise<OpenDoc> {
    const state = await this.replica.caseState(this.replica.keyOf(caseId))
    if (state?.rowUnproven) await proveRows(this.replica, [state])
    const doc = new Y.Doc(UNNAMED)
    doc.clientID = this.replica.options.newClientId()
    for (const update of await readUpdates(this.replica, caseId)) Y.applyUpdate(doc, update, STORED)
    for (const update of this.unwritten(caseId)) Y.applyUpdate(doc, update, STORED)
    const entry: OpenDoc = {
      key: this.replica.keyOf(caseId),
      doc,
      users: 0,
      rowIsStale: true,
      lastWritten: DONE,
    }
    doc.on('afterTransaction', ({ changed }: Y.Transaction) => {
      for (const type of changed.keys()) entry.rowIsStale ||= !isText(type)
    })
    doc.on('update', (update: Uint8Array, origin: unknown) => {
      if (origin !== STORED) this.lastEdit = entry.lastWritten = this.enqueue(caseId, update, entry)
    })
    this.docs.set(caseId, entry)
    this.evict()
    return entry
  }

  private enqueue(caseId: string, update: Uint8Array, entry: OpenDoc): Promise<AppendOutcome> {
    const from = entry.doc
    // While edits become changes no jotting may overtake them.
    const isJotted = !this.draining && !entry.rowIsStale && this.jottings.take(caseId, entry.key, update)
    let last = this.pending[this.pending.length - 1]
    // Letters that are confirmed already share no change with an edit that may yet be refused.
    if (last?.from !== from || last.isJotted !== isJotted) {
      last = { caseId, from, isJotted, updates: [], settle: [], fail: [] }
      this.pending.push(last)
      if (isJotted) this.onlyJotted.add(last)
    }
    const edit = last
    edit.updates.push(update)
    if (isJotted) {
      if (this.jottings.isFull) void this.drain()
      else this.replica.events.jotted?.()
      return DONE
    }
    const written = new Promise<AppendOutcome>((settle, fail) => {
      edit.settle.push(settle)
      edit.fail.push(fail)
    })
    void this.drain()
    return written
  }

  private drain(): Promise<void> {
    this.draining ??= this.drainAll().finally(() => {
      this.draining = undefined
    })
    return this.draining
  }

  private async drainAll(): Promise<void> {
    while (this.pending.length > 0) {
      // A turn of the event loop: what one transaction or one frame brings goes together.
      await Promise.resolve()
      const edits = this.pending
      this.pending = []
      for (const edit of edits) {
        if (edit.updates.length === 0) continue
        const update = edit.updates.length === 1 ? edit.updates[0]! : Y.mergeUpdates(edit.updates)
        try {
          const { caseId, from, isJotted } = edit
          const change = { caseId, kind: KIND_UPDATE, update, from, isConfirmed: isJotted }
          const outcome = await this.replica.append([change])
          this.onlyJotted.delete(edit)
          if (!outcome.ok) this.refuseRest(edit.caseId, edits, outcome)
          for (const settle of edit.settle) settle(outcome)
        } catch (error) {
          this.discard(edit.caseId)
          for (const fail of edit.fail) fail(error)
          this.failRest(edit.from, edits, error)
        }
      }
    }
    if (this.onlyJotted.size === 0) this.jottings.clear()
  }

  /** What was typed on top of a failed edit would wait for it for ever. What is jotted down is taken up by the next start. */
  private failRest(from: Y.Doc, edits: PendingEdit[], error: unknown): void {
    for (const list of [edits, this.pending]) {
      for (const later of list) {
        if (later.from !== from) continue
        if (!later.isJotted || !this.replica.db.failed) later.updates = []
        for (const fail of later.fail) fail(error)
      }
    }
  }

  /** What was typed on top of a refused edit has lost its base: it is refused with it. */
  private refuseRest(caseId: string, edits: PendingEdit[], outcome: AppendOutcome): void {
    this.discard(caseId)
    for (const list of [edits, this.pending]) {
      for (const later of list) {
        if (later.caseId !== caseId) continue
        later.updates = []
        for (const settle of later.settle) settle(outcome)
      }
    }
  }

  private discard(caseId: string): void {
    const entry = this.docs.get(caseId)
    if (!entry) return
    this.docs.delete(caseId)
    entry.doc.destroy()
  }

  private evict(): void {
    if (this.docs.size <= IDLE_DOCUMENTS) return
    for (const [caseId, entry] of this.docs) {
      if (entry.users > 0 || this.awaited.has(caseId) || this.isPending(caseId)) continue
      this.docs.delete(caseId)
      entry.doc.destroy()
      if (this.docs.size <= IDLE_DOCUMENTS) return
    }
  }

  /** A document that is built anew would lack what is still to be written. */
  private isPending(caseId: string): boolean {
    return this.isJotted(caseId) || this.pending.some((edit) => edit.caseId === caseId)
  }
}

/** How far a document knows the clients that an update speaks of. */
function clocksIn(doc: Y.Doc, contents: UpdateContents): Clocks {
  const { clients, needs, deletes } = contents
  const named = [...clients.map(({ client }) => client), ...needs.keys(), ...deletes.keys()]
  return new Map(named.map((client) => [client, Y.getState(doc.store, client)]))
}

/** A text of the case: only letters change in it, and the list row shows none. */
// biome-ignore lint/suspicious/noExplicitAny: as Yjs types it
function isText(type: Y.AbstractType<Y.YEvent<any>>): boolean {
  return type._item === null && Y.findRootTypeKey(type).startsWith(TEXT_PREFIX)
}

/**
 * The raw updates that make up a case, in the order of its parts. Throws DamagedError or MissingPartError; the case
 * counts as damaged then, and is asked for.
 */
export async function readUpdates(replica: Replica, caseId: string): Promise<Uint8Array[]> {
  const state = await replica.caseState(replica.keyOf(caseId))
  if (!state) return []
  try {
    const parts = await replica.db.getMany(state.parts.map(({ number }) => keys.part(state.key, number)))
    if (parts.some((part) => part === undefined)) throw new MissingPartError(state.key)
    return decodeParts(replica.natives, parts as Uint8Array[], state.unchecked)
  } catch (error) {
    if (isDamage(error)) replica.cases.noteDamaged(state.key)
    throw error
  }
}
