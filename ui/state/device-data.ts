/**
 * What the window knows of the device: the list, the status, the settings, the case on screen. The
 * device only hints that something changed; what is shown is then asked for again, never more often
 * than it can be answered.
 */
import type { CaseListRow, DeviceEvent, InviteState, Refusal, Status } from '../../src/node/contract.js'
import { type CaseView, readCase, withField, withOwn } from '../lib/case-view.js'
import { keepUnchanged, sortRows } from '../lib/list.js'
import { type Client, connected, type DeviceLink, onEachConnection, refusalOf } from './client.js'
import { Refresher } from './refresher.js'
import { FieldSaver } from './saver.js'
import { createStore } from './store.js'

/** The least time between two readings; long answers are given proportionally more room. */
const listEveryMs = 400
const statusEveryMs = 500
const caseEveryMs = 250

/** `problem`: why the device can't show it just now; then `view` is as it was. */
export type OpenCase = { id: string; view: CaseView | null; problem: Refusal | null }

export class DeviceData {
  readonly link: DeviceLink
  readonly saver: FieldSaver
  readonly rows = createStore<CaseListRow[] | null>(null)
  readonly status = createStore<Status | null>(null)
  readonly settings = createStore<Readonly<Record<string, string>> | null>(null)
  readonly invite = createStore<InviteState | null>(null)
  readonly openCase = createStore<OpenCase | null>(null)
  readonly #onStopping: () => void
  readonly #list: Refresher
  readonly #status: Refresher
  readonly #case: Refresher
  readonly #invite: Refresher
  /** What was written here into fields of the case on screen. */
  readonly #own = new Map<string, string>()
  /** Raised with every confirmed write: an answer asked for before it is out of date. */
  #writes = 0

  constructor(link: DeviceLink, onStopping: () => void) {
    this.link = link
    this.#onStopping = onStopping
    this.#list = new Refresher(() => this.#readList(), listEveryMs)
    this.#status = new Refresher(() => this.readStatus(), statusEveryMs)
    this.#case = new Refresher(() => this.#readCase(), caseEveryMs)
    this.#invite = new Refresher(() => this.#readInvite(), statusEveryMs)
    this.saver = new FieldSaver(link, (id, fields) => this.#saved(id, fields))
    onEachConnection(link, (client) => void this.#follow(client))
  }

  show(id: string | null): void {
    if (this.openCase.get()?.id === id) return
    const before = this.openCase.get()
    if (before) void this.saver.flush(before.id)
    this.#own.clear()
    this.openCase.set(id === null ? null : { id, view: null, problem: null })
    if (id !== null) this.#case.soon()
  }

  refreshList(): void {
    this.#list.soon()
  }

  refreshCase(): void {
    const open = this.openCase.get()
    if (open) this.wrote(open.id)
  }

  /** The case has just been changed here: who else holds that, only a fresh answer of the device can say. */
  wrote(id: string): void {
    this.#writes++
    this.openCase.update((open) =>
      open?.id === id && open.view ? { ...open, view: { ...open.view, heldBy: null } } : open,
    )
    if (this.openCase.get()?.id === id) this.#case.soon()
  }

  refreshStatus(): void {
    this.#status.soon()
  }

  refreshInvite(): void {
    this.#invite.soon()
  }

  setting(key: string, value: string): void {
    this.settings.update((settings) => ({ ...settings, [key]: value }))
    this.link
      .client()
      ?.config.set({ key, value })
      .catch(() => {})
  }

  async #follow(client: Client): Promise<void> {
    try {
      const [settings, status] = await Promise.all([client.config.get(), client.status()])
      this.settings.set(settings)
      this.status.set(status)
      this.refreshList()
      this.#case.soon()
      for await (const event of await client.events()) this.#heard(event)
    } catch (error) {
      // A broken connection is taken up again by the link; a device that can't answer is asked again.
      if (this.link.client() === client && refusalOf(error))
        setTimeout(() => void this.#follow(client), statusEveryMs * 4)
    }
  }

  #heard(event: DeviceEvent): void {
    switch (event.type) {
      case 'cases': {
        this.refreshList()
        const open = this.openCase.get()
        if (open && (event.ids === null || event.ids.includes(open.id))) this.#case.soon()
        return
      }
      case 'status':
        this.#status.soon()
        if (this.openCase.get()) this.#case.soon()
        return
      case 'invite':
        this.#invite.soon()
        return
      case 'stopping':
        this.saver.flushAll()
        this.#onStopping()
    }
  }

  async #readList(): Promise<void> {
    const client = connected(this.link)
    const withDeleted = await client.cases.list({ deleted: true })
    // A device may answer with the deleted ones only; then the others are asked for, too.
    const isWhole = withDeleted.some((row) => !row.deleted)
    const fresh = isWhole ? withDeleted : [...(await client.cases.list({})), ...withDeleted]
    const before = this.rows.get() ?? []
    this.rows.set(sortRows(keepUnchanged(before, fresh), before))
  }

  /** At once, for what was just switched. */
  async readStatus(): Promise<void> {
    this.status.set(await connected(this.link).status())
  }

  async #readInvite(): Promise<void> {
    this.invite.set(await connected(this.link).device.inviteState())
  }

  async #readCase(): Promise<void> {
    const asked = this.openCase.get()
    if (!asked) return
    const writes = this.#writes
    try {
      const { json } = await connected(this.link).cases.show({ id: asked.id })
      if (this.openCase.get()?.id !== asked.id) return
      if (writes !== this.#writes) return this.#case.soon()
      this.openCase.set({ id: asked.id, view: withOwn(readCase(json), this.#own), problem: null })
    } catch (error) {
      const problem = refusalOf(error)
      const open = this.openCase.get()
      if (!problem || open?.id !== asked.id) throw error
      this.openCase.set({ ...open, view: problem.code === 'no-case' ? null : open.view, problem })
    }
  }

  #saved(id: string, fields: ReadonlyMap<string, string>): void {
    if (this.openCase.get()?.id === id) for (const [field, value] of fields) this.#own.set(field, value)
    this.openCase.update((open) => {
      if (open?.id !== id || !open.view) return open
      let view = open.view
      for (const [field, value] of fields) view = withField(view, field, value)
      return { ...open, view }
    })
    this.wrote(id)
  }
}
