/** Importing a case that exists: field by field, in one transaction. */
import type * as Y from 'yjs'
import { type CaseJson, isObject, type Json, type JsonObject, own, type Sha256 } from './json.js'
import { CONTAINERS, RECORD_LISTS } from './schema.js'
import { CaseView } from './view.js'
import { CaseWriter, type Replaced } from './write.js'
import { setRich } from './ytext.js'

/**
 * Makes the document say what `json` (checked interchange) says, and leaves alone what `json` doesn't mention.
 * Lists are united by id; texts change by the smallest replacement. What already stands is not written again, so
 * importing twice gives no second update, and importing one's own export gives none at all. Returns what is replaced.
 */
export function mergeCase(doc: Y.Doc, json: CaseJson, sha256: Sha256): Replaced[] {
  const writer = new CaseWriter(new CaseView(doc), sha256)
  doc.transact(() => writer.case(json))
  return writer.replaced
}

/**
 * Makes the document say what `json` says and nothing else: an earlier version brought back as a new one. Lists and
 * texts that `json` lacks are left empty, not absent; the lifecycle follows `json` only where it gives `archived`.
 */
export function replaceCase(doc: Y.Doc, json: CaseJson, sha256: Sha256): void {
  doc.transact(() => {
    new CaseWriter(new CaseView(doc), sha256).case(json)
    removeOthers(new CaseView(doc), json)
  })
}

function removeOthers(view: CaseView, json: JsonObject): void {
  removeFields(view, '', json)
  for (const name of CONTAINERS) {
    const container = asObject(own(json, name))
    removeFields(view, name, container)
    if (name === 'description') emptyText(view, name, container)
  }
  for (const tag of view.list('tags')) {
    if (!asList(own(json, 'tags')).includes(tag.id)) view.members.clear(`+${tag.path}`)
  }
  for (const name of RECORD_LISTS) removeRecords(view, name, asList(own(json, name)))
}

function removeFields(view: CaseView, parent: string, kept: JsonObject): void {
  for (const [name, path] of view.children(parent)) {
    if (!Object.hasOwn(kept, name)) view.fields.clear(path)
  }
}

function removeRecords(view: CaseView, list: string, kept: Json[]): void {
  for (const { id, path } of view.list(list)) {
    const record = kept.find((item) => isObject(item) && own(item, 'id') === id)
    if (!isObject(record)) view.members.set(`-${path}`, true)
    else {
      removeFields(view, path, record)
      emptyText(view, path, record)
      removeRecords(view, `${path}/symptoms`, asList(own(record, 'symptoms')))
    }
  }
}

function emptyText(view: CaseView, path: string, kept: JsonObject): void {
  const text = own(kept, 'text') === undefined ? { text: '' } : {}
  const marks = own(kept, 'marks') === undefined ? { marks: [] } : {}
  const blocks = own(kept, 'blocks') === undefined ? { blocks: [] } : {}
  setRich(view.text(path), { ...text, ...marks, ...blocks })
}

const asObject = (value: unknown): JsonObject => (isObject(value) ? value : {})
const asList = (value: Json | undefined): Json[] => (Array.isArray(value) ? value : [])
