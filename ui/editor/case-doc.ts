/**
 * One open case: a Y.Doc with a fresh client id, kept in step with the device. What is typed goes out
 * at once, one call at a time, what gathers meanwhile as one update; what the device didn't confirm is
 * kept and sent again after a reconnect. Opening a case writes nothing. Where the device closes its document, as what
 * that held could not be stored, its own is taken up anew.
 */
import * as Y from 'yjs'
import { type Client, type DeviceLink, onEachConnection, refusalOf } from '../state/client.js'
import { createStore } from '../state/store.js'
import { fromBase64, toBase64 } from './base64.js'

/** A refused update (say, the disk is full) is offered again after this; a case that can't be opened is asked for again. */
const retryMs = 3000
/** A document that the device has closed is taken up again after this. */
const takeUpMs = 250

export interface CaseDocState {
  loaded: boolean
  /** Something typed is not yet confirmed by the device. */
  unsaved: boolean
  /** Why the device refused, in its words. */
  problem: { code: string; sentence: string } | null
}

const fromDevice = Symbol('from the device')

export class CaseDoc {
  /** Another one, once the device turns out not to have what this one holds. */
  doc: Y.Doc
  readonly state = createStore<CaseDocState>({ loaded: false, unsaved: false, problem: null })
  readonly #id: string
  /** What is typed here doesn't come back under this name. */
  readonly #window = crypto.randomUUID()
  readonly #link: DeviceLink
  readonly #stopFollowing: () => void
  #listening: AbortController | null = null
  #queue: Uint8Array[] = []
  /** Sent, and not answered yet. */
  #underWay: Uint8Array | null = null
  #retry: ReturnType<typeof setTimeout> | undefined
  #takeUp: ReturnType<typeof setTimeout> | undefined

  readonly #saved: () => void

  constructor(id: string, link: DeviceLink, saved: () => void) {
    this.#id = id
    this.#link = link
    this.#saved = saved
    this.doc = this.#begin()
    this.#stopFollowing = onEachConnection(link, (client) => void this.#follow(client))
  }

  destroy(): void {
    this.#stopFollowing()
    this.#listening?.abort()
    clearTimeout(this.#retry)
    clearTimeout(this.#takeUp)
    this.doc.destroy()
  }

  /**
   * The window or the program ends: what has gathered behind an unanswered call doesn't wait for the answer. What is
   * under way goes along once more, as the two might change places; what the device has already changes nothing.
   */
  sendNow(): void {
    if (this.#queue.length === 0) return
    const update = Y.mergeUpdates([...(this.#underWay ? [this.#underWay] : []), ...this.#queue])
    this.#link
      .client()
      ?.doc.update({ id: this.#id, update: toBase64(update), window: this.#window })
      .catch(() => {})
  }

  #begin(): Y.Doc {
    const doc = new Y.Doc()
    doc.on('update', this.#updated)
    return doc
  }

  async #follow(client: Client): Promise<void> {
    clearTimeout(this.#takeUp)
    this.#listening?.abort()
    const listening = new AbortController()
    this.#listening = listening
    let isFirst = true
    let againMs = takeUpMs
    try {
      const updates = await client.doc.open(
        { id: this.#id, window: this.#window },
        { signal: listening.signal },
      )
      for await (const { update } of updates) {
        if (listening.signal.aborted) break
        const bytes = fromBase64(update)
        if (isFirst && this.#isAheadOf(bytes)) {
          if (this.#underWay || this.#queue.length > 0) {
            // What was typed here builds on it: it goes along, or that would fit nowhere.
            this.#queue = [Y.encodeStateAsUpdate(this.doc, Y.encodeStateVectorFromUpdate(bytes))]
          } else {
            this.doc.destroy()
            this.doc = this.#begin()
            this.state.update((state) => ({ ...state, loaded: false }))
          }
        }
        isFirst = false
        Y.applyUpdate(this.doc, bytes, fromDevice)
        if (!this.state.get().loaded) this.state.update((state) => ({ ...state, loaded: true }))
        this.#send()
      }
    } catch (error) {
      const problem = refusalOf(error)
      if (problem && !listening.signal.aborted) this.state.update((state) => ({ ...state, problem }))
      againMs = retryMs
    }
    if (!listening.signal.aborted && this.#link.client() === client)
      this.#takeUp = setTimeout(() => void this.#follow(client), againMs)
  }

  /** Something stands here that was typed elsewhere, and that the device doesn't have. What was typed here stays in sight. */
  #isAheadOf(whole: Uint8Array): boolean {
    if (!this.state.get().loaded) return false
    const theirs = Y.decodeStateVector(Y.encodeStateVectorFromUpdate(whole))
    const mine = Y.decodeStateVector(Y.encodeStateVector(this.doc))
    return [...mine].some(
      ([client, clock]) => client !== this.doc.clientID && clock > (theirs.get(client) ?? 0),
    )
  }

  #updated = (update: Uint8Array, origin: unknown): void => {
    if (origin === fromDevice) return
    this.#queue.push(update)
    this.#send()
  }

  #send(): void {
    this.#note()
    const client = this.#link.client()
    if (this.#underWay || this.#queue.length === 0 || !client) return
    const update = this.#queue.length === 1 ? this.#queue[0]! : Y.mergeUpdates(this.#queue)
    this.#queue = []
    this.#underWay = update
    client.doc.update({ id: this.#id, update: toBase64(update), window: this.#window }).then(
      () => {
        this.#saved()
        this.#sent(null, true)
      },
      (error: unknown) => {
        this.#queue.unshift(update)
        this.#sent(refusalOf(error), false)
      },
    )
  }

  #sent(problem: CaseDocState['problem'], isTaken: boolean): void {
    this.#underWay = null
    if (this.state.get().problem !== problem) this.state.update((state) => ({ ...state, problem }))
    clearTimeout(this.#retry)
    // After an interruption `#follow` sends again; here only what was refused, or gathered meanwhile.
    if (!isTaken) this.#retry = setTimeout(() => this.#send(), retryMs)
    else if (this.#link.status.get().kind === 'open') this.#send()
    this.#note()
  }

  #note(): void {
    const unsaved = this.#underWay !== null || this.#queue.length > 0
    if (this.state.get().unsaved !== unsaved) this.state.update((state) => ({ ...state, unsaved }))
  }
}

/** The open cases. One that is left stays until everything typed in it is saved. */
export class CaseDocs {
  readonly #link: DeviceLink
  readonly #open = new Map<string, { caseDoc: CaseDoc; users: number; stop: () => void }>()

  readonly #saved: (id: string) => void

  /** `saved` hears of each case whose edits the device has just confirmed. */
  constructor(link: DeviceLink, saved: (id: string) => void = () => {}) {
    this.#link = link
    this.#saved = saved
  }

  acquire(id: string): { caseDoc: CaseDoc; release: () => void } {
    let entry = this.#open.get(id)
    if (!entry) {
      const caseDoc = new CaseDoc(id, this.#link, () => this.#saved(id))
      entry = { caseDoc, users: 0, stop: caseDoc.state.subscribe(() => this.#tidy(id)) }
      this.#open.set(id, entry)
    }
    entry.users++
    const held = entry
    let released = false
    return {
      caseDoc: entry.caseDoc,
      release: () => {
        if (released) return
        released = true
        held.users--
        this.#tidy(id)
      },
    }
  }

  /** True while anything typed is not yet confirmed. */
  unsaved(): boolean {
    return [...this.#open.values()].some((entry) => entry.caseDoc.state.get().unsaved)
  }

  sendNow(): void {
    for (const { caseDoc } of this.#open.values()) caseDoc.sendNow()
  }

  #tidy(id: string): void {
    const entry = this.#open.get(id)
    if (!entry || entry.users > 0 || entry.caseDoc.state.get().unsaved) return
    this.#open.delete(id)
    entry.stop()
    entry.caseDoc.destroy()
  }
}
