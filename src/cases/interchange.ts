/** The interchange form: one case as one line of JSON, checked before anything is written. */

import { byDate } from './export.js'
import {
  type CaseJson,
  canonicalJson,
  flawOf,
  isObject,
  type Json,
  type JsonObject,
  own,
  put,
  repeatsName,
  roundsNumber,
} from './json.js'
import {
  BLOCK_KINDS,
  type Block,
  isBlockKind,
  type Mark,
  normaliseBlocks,
  normaliseMarks,
} from './richtext.js'
import { DATED_LISTS, RECORD_LISTS, TEXT_FIELDS } from './schema.js'

export { canonicalJson }

/** Longest id of a case, a record or a symptom, in UTF-16 units. */
export const MAX_ID_LENGTH = 200

/** What parsing has lost of JSON text, as a sentence; null if nothing. It would come out of an export as another one. */
export function lossOf(text: string, value: Json): string | null {
  if (roundsNumber(text)) return 'A number has more digits than can be kept exactly; put it in quotes.'
  if (repeatsName(text, value)) return 'A field stands twice in it; only one of its values could be kept.'
  return null
}

export type Checked<T> = { ok: true; value: T } | { ok: false; reason: string }

/** Thrown inside this module only; its message is the sentence of the refusal. */
class Refusal extends Error {}

/** Parses and checks one line. `reason` is one sentence for a person; unknown fields are kept as they are. */
export function parseCase(line: string): Checked<CaseJson> {
  let value: Json
  try {
    value = JSON.parse(line) as Json
  } catch {
    return { ok: false, reason: 'This is not valid JSON.' }
  }
  const reason = lossOf(line, value)
  if (reason) return { ok: false, reason }
  return checkCase(value)
}

/**
 * Checks a parsed case and returns it in normal form: marks and blocks canonical, each tag once, consultations and
 * prescriptions by (date, id). The input stays untouched.
 */
export function checkCase(value: Json): Checked<CaseJson> {
  return guarded(() => {
    if (!isObject(value)) throw new Refusal('A case must be a JSON object.')
    soundness(value)
    checkId(own(value, 'id'), 'The case')
    return checkFields(value)
  })
}

/** Checks one record of a list, as `checkCase` would; its id must be there. */
export function checkRecord(list: string, value: Json): Checked<JsonObject & { id: string }> {
  return guarded(() => {
    soundness(value)
    return checkOne(value, list, `A record in "${list}"`)
  })
}

function guarded<T>(check: () => T): Checked<T> {
  try {
    return { ok: true, value: check() }
  } catch (error) {
    if (error instanceof Refusal) return { ok: false, reason: error.message }
    throw error
  }
}

function soundness(value: Json): void {
  const flaw = flawOf(value)
  if (flaw) throw new Refusal(`The JSON ${flaw}.`)
}

function checkId(id: Json | undefined, whose: string): string {
  if (typeof id !== 'string') throw new Refusal(`${whose} has no "id" that is a text.`)
  if (id === '' || id.length > MAX_ID_LENGTH) {
    throw new Refusal(`${whose} has an "id" that is empty or longer than ${MAX_ID_LENGTH} characters.`)
  }
  return id
}

function checkFields(value: JsonObject): CaseJson {
  const checked: CaseJson = {}
  checkTexts(value, 'case', 'The case')
  for (const [name, given] of Object.entries(value)) put(checked, name, checkField(name, given))
  return checked
}

function checkField(name: string, given: Json): Json {
  if (name === 'archived' && typeof given !== 'boolean') {
    throw new Refusal('The field "archived" must be true or false.')
  }
  if (name === 'tags') return checkTags(given)
  if (name === 'patient' || name === 'description') {
    if (!isObject(given)) throw new Refusal(`The field "${name}" must be an object.`)
    checkTexts(given, name, `The field "${name}"`)
    return name === 'description' ? checkRich(given, 'The description') : given
  }
  if (name === 'consent' && isObject(given)) checkTexts(given, name, 'The field "consent"')
  if ((RECORD_LISTS as readonly string[]).includes(name)) return checkList(given, name, `"${name}"`)
  return given
}

function checkTags(given: Json): Json[] {
  if (!Array.isArray(given) || !given.every((tag) => typeof tag === 'string')) {
    throw new Refusal('The field "tags" must be a list of texts.')
  }
  return [...new Set(given)]
}

function checkTexts(value: JsonObject, kind: string, whose: string): void {
  for (const name of TEXT_FIELDS[kind] ?? []) {
    const given = own(value, name)
    if (given !== undefined && given !== null && typeof given !== 'string') {
      throw new Refusal(`${whose} has a "${name}" that is not a text.`)
    }
  }
}

function checkList(given: Json, kind: string, name: string): Json[] {
  if (!Array.isArray(given)) throw new Refusal(`The field ${name} must be a list.`)
  // How attachments look is not laid down: a list without ids is kept whole.
  if (kind === 'attachments' && !given.every((item) => isObject(item) && Object.hasOwn(item, 'id')))
    return given
  const records = given.map((item, index) => checkOne(item, kind, `Number ${index + 1} in ${name}`))
  const ids = new Set<string>()
  for (const { id } of records) {
    if (ids.has(id)) throw new Refusal(`The id ${JSON.stringify(id)} stands twice in ${name}.`)
    ids.add(id)
  }
  return DATED_LISTS.includes(kind) ? records.sort(byDate) : records
}

function checkOne(item: Json, kind: string, whose: string): JsonObject & { id: string } {
  if (!isObject(item)) throw new Refusal(`${whose} is not an object.`)
  const id = checkId(own(item, 'id'), whose)
  checkTexts(item, kind, whose)
  if (kind === 'consultations') return { ...checkRich(item, whose), id }
  const record: JsonObject & { id: string } = { ...item, id }
  if (kind === 'symptoms') checkText(item, whose)
  const symptoms = kind === 'analyses' ? own(item, 'symptoms') : undefined
  if (symptoms !== undefined)
    record.symptoms = checkList(symptoms, 'symptoms', `the symptoms of ${JSON.stringify(id)}`)
  return record
}

function checkText(item: JsonObject, whose: string): string {
  const text = own(item, 'text') ?? ''
  if (typeof text !== 'string' || own(item, 'text') === null) {
    throw new Refusal(`${whose} has a "text" that is not a text.`)
  }
  return text
}

/** Checks text, marks and blocks, and returns a copy with both in canonical form. */
function checkRich(item: JsonObject, whose: string): JsonObject {
  const text = checkText(item, whose)
  const checked = { ...item }
  const marks = own(item, 'marks')
  if (marks !== undefined) {
    if (!Array.isArray(marks) || !marks.every((mark) => isMark(mark, text.length))) {
      throw new Refusal(
        `${whose} has "marks" that are not a list of [from, to, "bold" | "italic" | {"link": address}] inside its text.`,
      )
    }
    checked.marks = normaliseMarks(text, marks as Mark[]) as Json
  }
  const blocks = own(item, 'blocks')
  if (blocks !== undefined) {
    const lines = text.split('\n').length
    if (!Array.isArray(blocks) || !blocks.every((block) => isBlock(block, lines))) {
      throw new Refusal(
        `${whose} has "blocks" that are not a list of [line, ${BLOCK_KINDS.map((kind) => `"${kind}"`).join(' | ')}] inside its text.`,
      )
    }
    checked.blocks = normaliseBlocks(blocks as Block[]) as Json
  }
  return checked
}

function isMark(mark: Json, length: number): boolean {
  if (!Array.isArray(mark) || mark.length !== 3) return false
  const [from, to, style] = mark
  if (!Number.isInteger(from) || !Number.isInteger(to)) return false
  if (Number(from) < 0 || Number(to) < Number(from) || Number(to) > length) return false
  if (style === 'bold' || style === 'italic') return true
  return isObject(style!) && typeof own(style, 'link') === 'string' && Object.keys(style).length === 1
}

function isBlock(block: Json, lines: number): boolean {
  if (!Array.isArray(block) || block.length !== 2) return false
  const [line, kind] = block
  return Number.isInteger(line) && Number(line) >= 0 && Number(line) < lines && isBlockKind(kind)
}
