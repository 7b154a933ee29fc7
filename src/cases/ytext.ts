/** Formatted text in one flat Y.Text: marks are character attributes, a line's kind lies on its line break. */
import type * as Y from 'yjs'
import { splitsPair } from './json.js'
import {
  type Attributes,
  type Block,
  type BlockKind,
  breaksIn,
  deltaToRich,
  MARK_KEYS,
  type Mark,
  type RichText,
  richToDelta,
  type Span,
  sameMarks,
  spansOf,
} from './richtext.js'

type Op =
  | { retain: number; attributes?: Record<string, unknown> }
  | { delete: number }
  | { insert: string; attributes: Attributes }

export const readRich = (ytext: Y.Text): RichText =>
  deltaToRich(ytext.toDelta() as unknown[], ytext.getAttribute('block'))

/** True when nothing was ever written into this text. */
export const isPristine = (ytext: Y.Text): boolean => ytext._start === null && ytext._map.size === 0

/**
 * All that was ever written into this text, and what of it was erased: [client, clock, length, erased] in its order.
 * Where two devices have the same, the same edit makes the same operations.
 */
export function historyOf(ytext: Y.Text): number[][] {
  const runs: number[][] = []
  const take = ({ id, length, deleted }: Y.Item) => {
    const last = runs.at(-1)
    const erased = Number(deleted)
    if (last && last[0] === id.client && last[1]! + last[2]! === id.clock && last[3] === erased)
      last[2]! += length
    else runs.push([id.client, id.clock, length, erased])
  }
  for (let item = ytext._start; item; item = item.right) take(item)
  for (const item of ytext._map.values()) take(item)
  return runs
}

/** Fills a pristine text. */
export function fillText(ytext: Y.Text, rich: RichText): void {
  const { ops, lastBlock } = richToDelta(rich)
  if (ops.length > 0) ytext.applyDelta(ops)
  if (lastBlock) ytext.setAttribute('block', lastBlock)
}

function setLineKind(
  ytext: Y.Text,
  ops: Op[],
  retain: number,
  isLast: boolean,
  kind: BlockKind | null,
): void {
  if (!isLast) ops.push({ retain }, { retain: 1, attributes: { block: kind } })
  else if (kind) ytext.setAttribute('block', kind)
  else ytext.removeAttribute('block')
}

/**
 * Erases `erase` units at `at`, then inserts `insert`, as a person's typing would: new characters take bold and
 * italic from the character before them, a link only inside it; a new line takes the kind of the line it came from,
 * but no line after a heading is a heading. Offsets must lie inside the text and cut no surrogate pair.
 */
export function spliceText(ytext: Y.Text, at: number, erase: number, insert: string): void {
  const { text, marks, blocks } = readRich(ytext)
  const kinds = new Map<number, BlockKind>(blocks)
  const end = at + erase
  const firstLine = breaksIn(text, 0, at).length
  const lastLine = firstLine + breaksIn(text, at, end).length
  const atStart = at === 0 || text[at - 1] === '\n'
  const nextBreak = text.indexOf('\n', end)
  const atEnd = end === text.length || nextBreak === end
  const standing = kinds.get(lastLine) ?? null
  const joined = firstLine === lastLine || atStart ? standing : (kinds.get(firstLine) ?? null)
  const heading = joined === 'h2' && insert.includes('\n')
  const final = heading && atEnd && !atStart ? null : joined

  const ops: Op[] = []
  if (at > 0) ops.push({ retain: at })
  if (erase > 0) ops.push({ delete: erase })
  const style = styleAt(text, marks, at, end)
  insert.split('\n').forEach((piece, index) => {
    if (index > 0) {
      const kind = !heading ? joined : atStart || (atEnd && index > 1) ? null : 'h2'
      ops.push({ insert: '\n', attributes: kind ? { block: kind } : {} })
    }
    if (piece) ops.push({ insert: piece, attributes: style })
  })
  if (final !== standing) {
    const rest = nextBreak < 0 ? 0 : nextBreak - end
    setLineKind(ytext, ops, rest, nextBreak < 0, final)
  }
  ytext.applyDelta(ops.filter((op) => !('retain' in op && op.retain === 0)))
}

function styleAt(text: string, marks: readonly Mark[], at: number, end: number): Attributes {
  const style: Attributes = {}
  if (at === 0 || text[at - 1] === '\n') return style
  for (const [from, to, mark] of marks) {
    if (from >= at || to < at) continue
    if (mark === 'bold') style.bold = true
    else if (mark === 'italic') style.italic = true
    else if (to > end) style.link = mark.link
  }
  return style
}

/** A text, or the parts of it that are meant. */
export type RichParts = { text?: string; marks?: readonly Mark[]; blocks?: readonly Block[] }

/** Does the text say this already? `target` is canonical. */
export function says(ytext: Y.Text, target: RichParts): boolean {
  const { text, marks, blocks } = readRich(ytext)
  const sameText = target.text === undefined || target.text === text
  const sameKinds = !target.blocks || JSON.stringify(target.blocks) === JSON.stringify(blocks)
  return sameText && sameKinds && (!target.marks || sameMarks(target.marks, marks))
}

/**
 * Turns the text into `target` by the smallest single replacement; parts not given stay as they are. Returns what was
 * erased.
 */
export function setRich(ytext: Y.Text, target: RichParts): string {
  const { text, marks, blocks } = target
  const now = readRich(ytext).text
  const erased = text === undefined || text === now ? '' : replaceText(ytext, now, text)
  if (marks) setMarks(ytext, marks)
  if (blocks) setBlocks(ytext, blocks)
  return erased
}

function replaceText(ytext: Y.Text, old: string, text: string): string {
  const shorter = Math.min(old.length, text.length)
  let prefix = 0
  while (prefix < shorter && old[prefix] === text[prefix]) prefix++
  if (splitsPair(old, prefix) || splitsPair(text, prefix)) prefix--
  let suffix = 0
  while (suffix < shorter - prefix && old[old.length - 1 - suffix] === text[text.length - 1 - suffix])
    suffix++
  if (splitsPair(old, old.length - suffix) || splitsPair(text, text.length - suffix)) suffix--
  spliceText(ytext, prefix, old.length - prefix - suffix, text.slice(prefix, text.length - suffix))
  return old.slice(prefix, old.length - suffix)
}

function setMarks(ytext: Y.Text, marks: readonly Mark[]): void {
  const now = readRich(ytext)
  if (sameMarks(now.marks, marks)) return
  for (const key of MARK_KEYS) {
    const ops: Op[] = []
    let at = 0
    for (const { from, to, value } of difference(now.text, spansOf(now.marks, key), spansOf(marks, key))) {
      if (from > at) ops.push({ retain: from - at })
      ops.push({ retain: to - from, attributes: { [key]: value } })
      at = to
    }
    if (ops.length > 0) ytext.applyDelta(ops)
  }
}

/** Stretches without line breaks where two disjoint, sorted lists of spans differ, with the wanted value. */
function difference(text: string, now: Span[], wanted: Span[]) {
  const cuts = new Set<number>()
  for (const { from, to } of [...now, ...wanted]) {
    cuts.add(from).add(to)
    for (const at of breaksIn(text, from, to)) cuts.add(at).add(at + 1)
  }
  const places = [...cuts].sort((a, b) => a - b)
  const valueAt = (spans: Span[]) => {
    let next = 0
    return (at: number) => {
      while (next < spans.length && spans[next]!.to <= at) next++
      const span = spans[next]
      return span && span.from <= at ? span.value : null
    }
  }
  const nowAt = valueAt(now)
  const wantedAt = valueAt(wanted)
  const changes: { from: number; to: number; value: true | string | null }[] = []
  for (let i = 0; i + 1 < places.length; i++) {
    const from = places[i]!
    const value = wantedAt(from)
    if (nowAt(from) !== value && text[from] !== '\n') changes.push({ from, to: places[i + 1]!, value })
  }
  return changes
}

function setBlocks(ytext: Y.Text, blocks: readonly Block[]): void {
  const now = readRich(ytext)
  const wanted = new Map<number, BlockKind>(blocks)
  const standing = new Map<number, BlockKind>(now.blocks)
  const breaks = breaksIn(now.text)
  const ops: Op[] = []
  let at = 0
  for (let line = 0; line <= breaks.length; line++) {
    const kind = wanted.get(line) ?? null
    if (kind === (standing.get(line) ?? null)) continue
    const place = breaks[line] ?? now.text.length
    setLineKind(ytext, ops, place - at, line === breaks.length, kind)
    at = place + 1
  }
  const real = ops.filter((op) => !('retain' in op && op.retain === 0))
  if (real.length > 0) ytext.applyDelta(real)
}
