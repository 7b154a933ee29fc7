/** What a person does with cases: the part of the device's interface that touches content. */
import * as Y from 'yjs'
import { createUpdate } from '../../cases/create.js'
import {
  addRecord,
  chooseValue,
  type EditResult,
  removeRecord,
  restore,
  setArchived,
  setDeleted,
  setFields,
  typeText,
} from '../../cases/edit.js'
import { matches } from '../../cases/fold.js'
import { checkCase, lossOf } from '../../cases/interchange.js'
import { type CaseJson, canonicalJson, isObject, type Json, put } from '../../cases/json.js'
import { conflictsOf, exportCase, exportLine } from '../../cases/project.js'
import { KIND_UPDATE } from '../../protocol/log.js'
import { docOf } from '../../store/case-content.js'
import { parseRow } from '../../store/case-row.js'
import type { CaseState } from '../../store/case-state.js'
import { readUpdates } from '../../store/documents.js'
import { casesFrom } from '../../store/reading.js'
import type { AppendOutcome, Replica } from '../../store/replica.js'
import { type DeviceApi, Refused } from '../api.js'
import type { CaseListRow } from '../contract.js'
import { importLines } from './case-import.js'
import { guarded, sentenceOf, unlessDamaged } from './store-refusals.js'
import { turns } from './turns.js'

const done = { ok: true } as const
/** A page of an export: small enough for one message of the link. */
const EXPORT_PAGE_CHARACTERS = 1_000_000
/** Exports whose lists of ids are kept between pages; one that was forgotten makes its list again. */
const MAX_EXPORTS = 8

export interface CasesContext {
  /** The open store, or a refusal: no practice yet. */
  replica(): Replica
  /** A fresh id for a case or a record. */
  newId(): string
  /** Ids of the devices that are known to hold everything of this case. */
  heldBy(state: CaseState): string[]
}

type CasesApi = Pick<DeviceApi, 'cases' | 'search' | 'doc' | 'flush'>

export function casesApi(context: CasesContext): CasesApi {
  /** Ids of each export under way, by what it was asked for; the last page drops them. */
  const exporting = new Map<string, string[]>()
  const inTurn = turns()

  /** Case, opened or refused. */
  const find = async (id: string): Promise<CaseState> => {
    const replica = context.replica()
    const state = await guarded(() => replica.caseState(replica.keyOf(id)))
    if (!state || state.parts.length === 0) throw new Refused('no-case', `There is no case "${id}".`)
    return state
  }

  const edit = async <T extends EditResult | undefined>(
    id: string,
    change: (doc: Y.Doc) => T,
  ): Promise<typeof done> => {
    await find(id)
    const { result, outcome } = await guarded(() => context.replica().docs.edit(id, change))
    if (result && !result.ok) throw new Refused('not-accepted', result.reason)
    refuseIfTooLarge(outcome)
    return done
  }

  const editAll = async (ids: string[], change: (doc: Y.Doc) => void): Promise<typeof done> => {
    for (const id of ids) await find(id)
    for (const id of ids) {
      await edit(id, (doc) => {
        change(doc)
        return undefined
      })
    }
    return done
  }

  const rows = (): Promise<{ state: CaseState; row: CaseListRow }[]> => guarded(readRows)
  const readRows = async () => {
    const list: { state: CaseState; row: CaseListRow }[] = []
    const replica = context.replica()
    for await (const state of casesFrom(replica, new Uint8Array(0))) {
      const row = parseRow(state.row)
      if (row) list.push({ state, row: { ...row, id: state.caseId } })
    }
    return list.sort((a, b) => collator.compare(a.row.name, b.row.name) || (a.row.id < b.row.id ? -1 : 1))
  }

  return {
    cases: {
      async list({ drawer, match, deleted }) {
        return (await rows())
          .map(({ row }) => row)
          .filter(
            (row) =>
              (deleted || !row.deleted) &&
              (drawer === undefined || row.drawer === drawer) &&
              (match === undefined || matches(row.name, match)),
          )
      },
      async show({ id }) {
        const state = await find(id)
        const doc = await guarded(() => context.replica().docs.open(id))
        try {
          const json = exportCase(doc, id)
          const row = parseRow(state.row)
          put(json, 'deleted', row?.deleted ?? false)
          put(json, 'lateEdits', row?.lateEdits ?? false)
          put(json, 'conflicts', conflictsOf(doc) as never)
          put(json, 'heldBy', context.heldBy(state))
          return { json: canonicalJson(json) }
        } finally {
          context.replica().docs.release(id)
        }
      },
      async create({ json }) {
        const parsed = parseJson(json ?? '{}')
        const given = typeof parsed.id === 'string' ? parsed.id : undefined
        const id = given ?? context.newId()
        put(parsed, 'id', id)
        const checked = checkCase(parsed)
        if (!checked.ok) throw new Refused('not-accepted', checked.reason)
        const replica = context.replica()
        const make = async () => {
          const held = await guarded(() => replica.caseState(replica.keyOf(id)))
          if (held && held.parts.length > 0)
            throw new Refused('case-exists', `There already is a case "${id}".`)
          const update = createUpdate(checked.value, replica.natives.sha256)
          refuseIfTooLarge(await guarded(() => replica.append([{ caseId: id, kind: KIND_UPDATE, update }])))
        }
        await (given === undefined ? make() : inTurn(make))
        return { id }
      },
      set: ({ id, fields, seen }) => edit(id, (doc) => setFields(doc, fields, seen)),
      async choose({ id, field, json }) {
        const value = parseValue(json)
        return edit(id, (doc) => chooseValue(doc, field, value))
      },
      async add({ id, kind, json }) {
        await find(id)
        const record = parseJson(json)
        const fresh = context.newId()
        const { result, outcome } = await guarded(() =>
          context.replica().docs.edit(id, (doc) => addRecord(doc, kind, record, fresh)),
        )
        if (!result.ok) throw new Refused('not-accepted', result.reason)
        refuseIfTooLarge(outcome)
        return { id: result.id }
      },
      remove: ({ id, list, record }) => edit(id, (doc) => removeRecord(doc, list, record)),
      type: ({ id, consultation, at, erase, text }) =>
        edit(id, (doc) => typeText(doc, consultation, at, erase, text)),
      archive: ({ ids }) => editAll(ids, (doc) => setArchived(doc, true)),
      unarchive: ({ ids }) => editAll(ids, (doc) => setArchived(doc, false)),
      delete: ({ ids }) => editAll(ids, (doc) => setDeleted(doc, context.replica().natives.sha256)),
      restore: ({ ids }) => editAll(ids, (doc) => restore(doc)),
      import: ({ lines, preview }) => inTurn(() => importLines(context.replica(), lines, preview)),
      async export({ only, after }) {
        const replica = context.replica()
        await replica.docs.settle()
        const asked = JSON.stringify(only ?? null)
        let ids = after === undefined ? undefined : exporting.get(asked)
        if (!ids) {
          const wanted = only && new Set(only)
          ids = (await rows())
            .filter(({ row }) => !row.deleted && (!wanted || wanted.has(row.id)))
            .map(({ row }) => row.id)
            .sort((a, b) => (a < b ? -1 : 1))
          if (after === undefined) {
            const found = new Set(ids)
            for (const id of only ?? [])
              if (!found.has(id)) throw new Refused('no-case', `There is no case "${id}".`)
          }
          if (exporting.size >= MAX_EXPORTS) exporting.clear()
          exporting.set(asked, ids)
        }
        const lines: string[] = []
        const unreadable: string[] = []
        let at = after === undefined ? 0 : ids.findIndex((id) => id > after)
        if (at < 0) at = ids.length
        for (let size = 0; at < ids.length && size < EXPORT_PAGE_CHARACTERS; at++) {
          const id = ids[at]!
          const updates = await unlessDamaged(() => replica.exclusive(() => readUpdates(replica, id)))
          if (!updates) {
            unreadable.push(id)
            continue
          }
          const doc = docOf([...updates, ...replica.docs.unwritten(id)])
          const line = exportLine(doc, id)
          doc.destroy()
          lines.push(line)
          size += line.length
        }
        if (at >= ids.length) {
          exporting.delete(asked)
          if (!only) unreadable.push(...(await nameless(replica)))
        }
        return { lines, unreadable, last: ids[at - 1] ?? null, more: at < ids.length }
      },
    },
    async search({ text }) {
      const found = (await rows()).filter(({ row }) => !row.deleted && matches(row.name, text))
      return found.map(({ row }) => ({ id: row.id, in: 'name', snippet: row.name }))
    },
    doc: {
      open: ({ id, window }, signal) => followDocument(context, find, { id, window }, signal),
      async update({ id, update, window }) {
        await find(id)
        const bytes = new Uint8Array(Buffer.from(update, 'base64'))
        const outcome = await guarded(() => context.replica().docs.applyEdit(id, bytes, window))
        if (!outcome.ok && outcome.code === 'unfit') {
          throw new Refused('not-accepted', 'That change does not fit this case. Nothing was stored.')
        }
        refuseIfTooLarge(outcome)
        return done
      },
    },
    async flush() {
      const replica = context.replica()
      await guarded(async () => {
        await replica.docs.settle()
        await replica.flush()
      })
      return done
    },
  }
}

const collator = new Intl.Collator('pl', { sensitivity: 'base', numeric: true })

function parseJson(text: string): CaseJson {
  const value = parseValue(text)
  if (isObject(value)) return value
  throw new Refused('not-accepted', 'That is not a JSON object.')
}

function parseValue(text: string): Json {
  let value: Json
  try {
    value = JSON.parse(text) as Json
  } catch {
    throw new Refused('not-accepted', 'That is not JSON.')
  }
  const loss = lossOf(text, value)
  if (loss) throw new Refused('not-accepted', loss)
  return value
}

function refuseIfTooLarge(outcome: AppendOutcome | { ok: false; code: 'unfit' }): void {
  if (outcome.ok) return
  throw new Refused(outcome.code, sentenceOf(outcome.code))
}

/** Cases of which not even the id can be read, by the beginnings of their keys. */
async function nameless(replica: Replica): Promise<string[]> {
  const found: string[] = []
  for (const [hex, key] of replica.damaged)
    if ((await unlessDamaged(async () => (await replica.caseState(key)) ?? null)) === undefined)
      found.push(`? ${hex.slice(0, 8)}`)
  return found
}

/** First the whole state, then every update but the window's own, until it lets go. */
async function* followDocument(
  context: CasesContext,
  find: (id: string) => Promise<CaseState>,
  { id, window }: { id: string; window?: string | undefined },
  signal: AbortSignal | undefined,
): AsyncGenerator<{ update: string }> {
  await find(id)
  const { docs } = context.replica()
  const doc = await guarded(() => docs.open(id))
  const queue: Uint8Array[] = [Y.encodeStateAsUpdate(doc)]
  let ended = false
  let wake = () => {}
  const onUpdate = (update: Uint8Array, origin: unknown) => {
    if (window !== undefined && origin === window) return
    queue.push(update)
    wake()
  }
  const onEnd = () => {
    ended = true
    wake()
  }
  doc.on('update', onUpdate)
  doc.on('destroy', onEnd)
  signal?.addEventListener('abort', onEnd)
  try {
    for (;;) {
      for (let update = queue.shift(); update; update = queue.shift()) {
        yield { update: Buffer.from(update).toString('base64') }
      }
      if (ended || signal?.aborted) return
      await new Promise<void>((resolve) => {
        wake = resolve
      })
    }
  } finally {
    doc.off('update', onUpdate)
    doc.off('destroy', onEnd)
    signal?.removeEventListener('abort', onEnd)
    docs.release(id)
  }
}
