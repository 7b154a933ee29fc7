/** What the case list shows: views, order, filter, type-ahead. Pure, so that it can be measured. */
import type { CaseListRow } from '../../src/node/contract.js'
import { fold, matches, wordsOf } from './fold.js'

/** The drawers every practice has, by the names that cases store. */
export const standardDrawers = ['Patients', 'Colleagues', 'Study', 'Seminars', 'Other'] as const

export type View = 'all' | 'archived' | 'deleted' | `drawer:${string}`

export function drawerView(name: string): View {
  return `drawer:${name}`
}

export function drawerOfView(view: View): string | null {
  return view.startsWith('drawer:') ? view.slice('drawer:'.length) : null
}

/** The text a row is found by, and what type-ahead compares; kept per row object. */
interface Keys {
  search: string
  byFirst: string
  byLast: string
}
const keysByRow = new WeakMap<CaseListRow, Keys>()

function keysOf(row: CaseListRow): Keys {
  let keys = keysByRow.get(row)
  if (!keys) {
    const first = fold(row.firstName)
    const last = fold(row.lastName)
    keys = {
      search: `${first} ${last} ${fold(row.name)} ${row.birthYear ?? ''}`,
      byFirst: `${first} ${last}`.trim(),
      byLast: `${last} ${first}`.trim(),
    }
    keysByRow.set(row, keys)
  }
  return keys
}

/** Last name first, as on the cards of a drawer; who has no name comes last. */
export function sortRows(rows: readonly CaseListRow[], previous: readonly CaseListRow[] = []): CaseListRow[] {
  const collator = new Intl.Collator('pl', { sensitivity: 'variant', numeric: true })
  // A list that is nearly in order sorts in one pass: begin with the order of the last time.
  const rank = new Map(previous.map((row, index) => [row.id, index]))
  const sorted = [...rows].sort((a, b) => (rank.get(a.id) ?? rank.size) - (rank.get(b.id) ?? rank.size))
  return sorted.sort((a, b) => {
    const unnamed = Number(!a.name) - Number(!b.name)
    if (unnamed !== 0) return unnamed
    return (
      collator.compare(a.lastName, b.lastName) ||
      collator.compare(a.firstName, b.firstName) ||
      (a.id < b.id ? -1 : 1)
    )
  })
}

export function rowsOfView(rows: readonly CaseListRow[], view: View): CaseListRow[] {
  if (view === 'deleted') return rows.filter((row) => row.deleted)
  if (view === 'archived') return rows.filter((row) => !row.deleted && row.archived)
  const drawer = drawerOfView(view)
  return rows.filter((row) => !row.deleted && !row.archived && (drawer === null || row.drawer === drawer))
}

export function filterRows(rows: readonly CaseListRow[], query: string): readonly CaseListRow[] {
  const words = wordsOf(query)
  if (words.length === 0) return rows
  return rows.filter((row) => matches(keysOf(row).search, words))
}

/** Keeps unchanged rows the same objects, so that only changed ones are drawn again. */
export function keepUnchanged(before: readonly CaseListRow[], after: readonly CaseListRow[]): CaseListRow[] {
  const known = new Map(before.map((row) => [row.id, row]))
  return after.map((row) => {
    const old = known.get(row.id)
    return old && sameRow(old, row) ? old : row
  })
}

function sameRow(a: CaseListRow, b: CaseListRow): boolean {
  const keys = Object.keys(b) as (keyof CaseListRow)[]
  return keys.every((key) => a[key] === b[key])
}

/** How long a pause begins a new type-ahead word. */
export const typeAheadPauseMs = 700

/** Type-ahead: letters typed soon after each other make a word; the next row that begins with it is found. */
export class TypeAhead {
  #typed = ''
  #at = Number.NEGATIVE_INFINITY

  /** The index to go to, or -1. A repeated single letter walks through the rows that begin with it. */
  type(letter: string, rows: readonly CaseListRow[], from: number, now: number): number {
    const fresh = now - this.#at > typeAheadPauseMs
    this.#at = now
    const folded = fold(letter)
    if (!folded) return -1
    const walking = fresh || this.#typed === folded
    this.#typed = walking ? folded : this.#typed + folded
    const start = walking ? from + 1 : Math.max(from, 0)
    for (let step = 0; step < rows.length; step++) {
      const index = (start + step) % rows.length
      const keys = keysOf(rows[index]!)
      if (keys.byLast.startsWith(this.#typed) || keys.byFirst.startsWith(this.#typed)) return index
    }
    return -1
  }

  /** True while a space belongs to the word being typed. */
  isTyping(now: number): boolean {
    return this.#typed !== '' && now - this.#at <= typeAheadPauseMs
  }
}

/** The drawers to offer: the standard ones, then the practice's own in use. */
export function drawersOf(rows: readonly CaseListRow[]): string[] {
  const own = new Set<string>()
  for (const row of rows) if (row.drawer && !row.deleted) own.add(row.drawer)
  for (const name of standardDrawers) own.delete(name)
  return [...standardDrawers, ...[...own].sort(new Intl.Collator('pl').compare)]
}

/** How many cases each view holds, in one pass. */
export function countViews(rows: readonly CaseListRow[]): Map<View, number> {
  const counts = new Map<View, number>()
  const count = (view: View) => counts.set(view, (counts.get(view) ?? 0) + 1)
  for (const row of rows) {
    if (row.deleted) count('deleted')
    else if (row.archived) count('archived')
    else {
      count('all')
      if (row.drawer) count(drawerView(row.drawer))
    }
  }
  return counts
}
