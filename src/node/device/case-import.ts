/** Import: lines of a file become cases, or parts of those that are here; what gives way is told. */
import { createUpdate } from '../../cases/create.js'
import { parseCase } from '../../cases/interchange.js'
import { canonicalJson, type Json, splitsPair } from '../../cases/json.js'
import { mergeCase } from '../../cases/merge.js'
import type { Replaced } from '../../cases/write.js'
import { KIND_UPDATE } from '../../protocol/log.js'
import { docOf } from '../../store/case-content.js'
import { parseRow } from '../../store/case-row.js'
import { readUpdates } from '../../store/documents.js'
import type { LocalChange, Replica } from '../../store/replica.js'
import type { ImportReport } from '../contract.js'
import { guarded, sentenceOf, unlessDamaged } from './store-refusals.js'

const IMPORT_BATCH = 64
/** Enough for knowing what it was. */
const EXCERPT_CHARACTERS = 200

function excerptOf(value: Json): string {
  const text = typeof value === 'string' ? value : canonicalJson(value)
  if (text.length <= EXCERPT_CHARACTERS) return text
  const end = splitsPair(text, EXCERPT_CHARACTERS) ? EXCERPT_CHARACTERS - 1 : EXCERPT_CHARACTERS
  return `${text.slice(0, end)}…`
}

/** Imports lines: new cases as they are, known ones merged field by field, deleted ones left deleted. */
export async function importLines(
  replica: Replica,
  lines: { line: number; text: string }[],
  preview: boolean,
): Promise<ImportReport> {
  await replica.docs.settle()
  const report: ImportReport = { added: 0, merged: 0, unchanged: 0, errors: [] }
  const note = (line: number, id: string, replaced: Replaced[]) => {
    if (replaced.length === 0) return
    const told = replaced.map(({ field, was }) => ({ line, id, field, was: excerptOf(was) }))
    report.replaced = [...(report.replaced ?? []), ...told]
  }
  let batch: { line: number; change: LocalChange }[] = []
  const flush = async () => {
    const changes = batch
    batch = []
    if (changes.length === 0) return
    const outcome = await guarded(() => replica.append(changes.map(({ change }) => change)))
    if (outcome.ok) {
      report.added += changes.length
      return
    }
    // One of them is too large: find it, keep the others.
    for (const { line, change } of changes) {
      const single = await guarded(() => replica.append([change]))
      if (single.ok) report.added++
      else report.errors.push({ line, reason: 'The case is larger than 16 MB.' })
    }
  }
  const take = async (line: number, text: string): Promise<void> => {
    const parsed = parseCase(text)
    if (!parsed.ok) {
      report.errors.push({ line, reason: parsed.reason })
      return
    }
    const id = parsed.value.id as string
    if (batch.some(({ change }) => change.caseId === id)) await flush()
    const state = await guarded(() => replica.caseState(replica.keyOf(id)))
    if (!state || state.parts.length === 0) {
      if (preview) report.added++
      else {
        const update = createUpdate(parsed.value, replica.natives.sha256)
        batch.push({ line, change: { caseId: id, kind: KIND_UPDATE, update } })
        if (batch.length >= IMPORT_BATCH) await flush()
      }
      return
    }
    if (parseRow(state.row)?.deleted) {
      report.unchanged++
      report.deleted = (report.deleted ?? 0) + 1
      return
    }
    if (preview) {
      const doc = docOf(await replica.exclusive(() => readUpdates(replica, id)))
      let changed = false
      doc.on('update', () => {
        changed = true
      })
      note(line, id, mergeCase(doc, parsed.value, replica.natives.sha256))
      doc.destroy()
      report[changed ? 'merged' : 'unchanged']++
      return
    }
    const { result, outcome, changed } = await guarded(() =>
      replica.docs.edit(id, (doc) => mergeCase(doc, parsed.value, replica.natives.sha256)),
    )
    if (!outcome.ok) report.errors.push({ line, reason: sentenceOf(outcome.code) })
    else {
      report[changed ? 'merged' : 'unchanged']++
      note(line, id, result)
    }
  }
  for (const { line, text } of lines) {
    if (text.trim() === '') continue
    const taken = await unlessDamaged(async () => (await take(line, text)) ?? true)
    if (!taken) report.errors.push({ line, reason: 'The stored data of this case is damaged.' })
  }
  await flush()
  report.errors.sort((a, b) => a.line - b.line)
  return report
}
