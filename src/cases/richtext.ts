/** Formatted text as plain data: interchange marks and blocks, their canonical form, and Yjs deltas. */
import { compareText, splitsPair } from './json.js'

export type MarkStyle = 'bold' | 'italic' | { link: string }
/** [from, to, style], offsets in UTF-16 units of the text. */
export type Mark = [from: number, to: number, style: MarkStyle]
export const BLOCK_KINDS = ['h2', 'ul', 'ol'] as const
export type BlockKind = (typeof BLOCK_KINDS)[number]
/** [line, kind], lines counted from 0. */
export type Block = [line: number, kind: BlockKind]
export type RichText = { text: string; marks: Mark[]; blocks: Block[] }

export const MARK_KEYS = ['bold', 'italic', 'link'] as const
export type MarkKey = (typeof MARK_KEYS)[number]
export type Attributes = { bold?: true; italic?: true; link?: string; block?: BlockKind }
export type InsertOp = { insert: string; attributes: Attributes }
/** Where one attribute holds one value. */
export type Span = { from: number; to: number; value: true | string }

export const isBlockKind = (kind: unknown): kind is BlockKind =>
  (BLOCK_KINDS as readonly unknown[]).includes(kind)

/** The spans of one attribute in a list of marks. */
export function spansOf(marks: readonly Mark[], key: MarkKey): Span[] {
  const spans: Span[] = []
  for (const [from, to, style] of marks) {
    if (typeof style === 'string') {
      if (style === key) spans.push({ from, to, value: true })
    } else if (key === 'link') spans.push({ from, to, value: style.link })
  }
  return spans
}

/** Marks in canonical form: none begins or ends on a line break, equal neighbours are one, sorted by place. */
export function normaliseMarks(text: string, marks: readonly Mark[]): Mark[] {
  return toMarks(text, (key) => paint(text, spansOf(marks, key)))
}

/** Blocks sorted by line; of two for one line the later stands. */
export function normaliseBlocks(blocks: readonly Block[]): Block[] {
  return [...new Map(blocks)].sort((a, b) => a[0] - b[0])
}

function toMarks(text: string, spansFor: (key: MarkKey) => Span[]): Mark[] {
  const marks: Mark[] = []
  for (const key of MARK_KEYS) {
    for (const { from, to, value } of tidy(text, spansFor(key))) {
      marks.push([from, to, key === 'link' ? { link: String(value) } : key])
    }
  }
  const rank = (mark: Mark) => (mark[2] === 'bold' ? 0 : mark[2] === 'italic' ? 1 : 2)
  return marks.sort((a, b) => a[0] - b[0] || a[1] - b[1] || rank(a) - rank(b))
}

/** Overlapping spans to disjoint ones, the later painted over; cuts through a surrogate pair move outwards. */
function paint(text: string, spans: Span[]): Span[] {
  if (spans.length === 0) return []
  // next[i]: the first unpainted offset at or after i, compressed on the way (union-find).
  const next = new Int32Array(text.length + 1)
  for (let i = 0; i < next.length; i++) next[i] = i
  const find = (at: number): number => {
    let root = at
    while (next[root] !== root) root = next[root]!
    for (let i = at; next[i] !== root; ) {
      const after = next[i]!
      next[i] = root
      i = after
    }
    return root
  }
  const painted: Span[] = []
  for (const { from, to, value } of spans.toReversed()) {
    const end = splitsPair(text, to) ? to + 1 : to
    let start = -1
    let last = -1
    for (let i = find(splitsPair(text, from) ? from - 1 : from); i < end; i = find(i)) {
      if (i !== last + 1 || start < 0) {
        if (start >= 0) painted.push({ from: start, to: last + 1, value })
        start = i
      }
      last = i
      next[i] = i + 1
    }
    if (start >= 0) painted.push({ from: start, to: last + 1, value })
  }
  return painted.sort((a, b) => a.from - b.from)
}

/** Trims line breaks off disjoint, sorted spans, and joins equal ones that only line breaks separate. */
function tidy(text: string, spans: Span[]): Span[] {
  const tidied: Span[] = []
  for (const span of spans) {
    let { from, to } = span
    while (from < to && text[from] === '\n') from++
    while (to > from && text[to - 1] === '\n') to--
    if (from === to) continue
    const last = tidied.at(-1)
    if (last && last.value === span.value && onlyBreaks(text, last.to, from)) last.to = to
    else tidied.push({ from, to, value: span.value })
  }
  return tidied
}

function onlyBreaks(text: string, from: number, to: number): boolean {
  for (let i = from; i < to; i++) if (text[i] !== '\n') return false
  return true
}

/** Offsets of the line breaks in [from, to). */
export function breaksIn(text: string, from = 0, to = text.length): number[] {
  const found: number[] = []
  for (let i = text.indexOf('\n', from); i >= 0 && i < to; i = text.indexOf('\n', i + 1)) found.push(i)
  return found
}

/** Canonical rich text as insertions, and the kind of the last line, which has no line break to carry it. */
export function richToDelta(rich: RichText): { ops: InsertOp[]; lastBlock: BlockKind | null } {
  const { text, marks, blocks } = rich
  const kindAt = new Map<number, BlockKind>()
  let lastBlock: BlockKind | null = null
  if (blocks.length > 0) {
    const breaks = breaksIn(text)
    for (const [line, kind] of blocks) {
      const at = breaks[line]
      if (at === undefined) lastBlock = kind
      else kindAt.set(at, kind)
    }
  }
  const cuts = new Set([0, text.length])
  for (const at of kindAt.keys()) cuts.add(at).add(at + 1)
  for (const [from, to] of marks) {
    cuts.add(from).add(to)
    for (const at of breaksIn(text, from, to)) cuts.add(at).add(at + 1)
  }
  const places = [...cuts].sort((a, b) => a - b)
  const cursors = MARK_KEYS.map((key) => ({ key, spans: spansOf(marks, key), next: 0 }))
  const ops: InsertOp[] = []
  for (let i = 0; i + 1 < places.length; i++) {
    const from = places[i]!
    const attributes: Attributes = {}
    if (text[from] === '\n') {
      const kind = kindAt.get(from)
      if (kind) attributes.block = kind
    } else {
      for (const cursor of cursors) {
        while (cursor.next < cursor.spans.length && cursor.spans[cursor.next]!.to <= from) cursor.next++
        const span = cursor.spans[cursor.next]
        if (span && span.from <= from) Object.assign(attributes, { [cursor.key]: span.value })
      }
    }
    ops.push({ insert: text.slice(from, places[i + 1]), attributes })
  }
  return { ops, lastBlock }
}

/** Canonical rich text of a Yjs delta, whatever a concurrent merge left on its line breaks. */
export function deltaToRich(delta: readonly unknown[], lastBlock: unknown): RichText {
  const pieces: string[] = []
  const spans: Record<MarkKey, Span[]> = { bold: [], italic: [], link: [] }
  const blocks: Block[] = []
  let at = 0
  let line = 0
  for (const op of delta as { insert?: unknown; attributes?: Record<string, unknown> }[]) {
    // An embedded object (not ours) takes one offset in Yjs; the replacement character keeps offsets equal.
    const piece = typeof op.insert === 'string' ? op.insert : '\ufffc'
    const { attributes } = op
    if (attributes?.bold) spans.bold.push({ from: at, to: at + piece.length, value: true })
    if (attributes?.italic) spans.italic.push({ from: at, to: at + piece.length, value: true })
    if (typeof attributes?.link === 'string') {
      spans.link.push({ from: at, to: at + piece.length, value: attributes.link })
    }
    for (const _ of breaksIn(piece)) {
      if (isBlockKind(attributes?.block)) blocks.push([line, attributes.block])
      line++
    }
    pieces.push(piece)
    at += piece.length
  }
  if (isBlockKind(lastBlock)) blocks.push([line, lastBlock])
  const text = pieces.join('')
  return { text, marks: toMarks(text, (key) => spans[key]), blocks }
}

/** Equality of canonical marks. */
export const sameMarks = (a: readonly Mark[], b: readonly Mark[]): boolean =>
  compareText(JSON.stringify(a), JSON.stringify(b)) === 0
