/** From two states of a text to the one small edit that lies between them. */

export interface Edit {
  /** Where, in UTF-16 units of the text before. */
  at: number
  erase: number
  insert: string
}

/**
 * The smallest edit that turns `before` into `after`, placed where the caret is: in "aa|a" the typed
 * letter is the one left of the caret, though any of the three would give the same string. It never
 * cuts a surrogate pair. Null if nothing changed.
 */
export function diffAtCaret(before: string, after: string, caret: number): Edit | null {
  if (before === after) return null
  const shorter = Math.min(before.length, after.length)
  // What stands right of the caret was there before: match it first, then what stands left.
  const suffixBound = Math.min(shorter, Math.max(0, after.length - caret))
  let suffix = 0
  while (suffix < suffixBound && before.at(-1 - suffix) === after.at(-1 - suffix)) suffix++
  let prefix = 0
  while (prefix < shorter - suffix && before[prefix] === after[prefix]) prefix++
  // The caret was no help (text put in elsewhere): take all the common end there is.
  while (suffix < shorter - prefix && before.at(-1 - suffix) === after.at(-1 - suffix)) suffix++
  if (prefix > 0 && isHigh(before, prefix - 1)) prefix--
  if (suffix > 0 && isLow(before, before.length - suffix)) suffix--
  return {
    at: prefix,
    erase: before.length - suffix - prefix,
    insert: after.slice(prefix, after.length - suffix),
  }
}

function isHigh(text: string, index: number): boolean {
  const unit = text.charCodeAt(index)
  return unit >= 0xd800 && unit <= 0xdbff
}

function isLow(text: string, index: number): boolean {
  const unit = text.charCodeAt(index)
  return unit >= 0xdc00 && unit <= 0xdfff
}

/** One step of a change as Yjs reports it. */
export interface DeltaStep {
  retain?: number
  insert?: unknown
  delete?: number
}

/**
 * Where position `index` stands after a change. `sticky` 'left' stays before text that is put in
 * exactly here (a caret), 'right' moves behind it.
 */
export function mapPosition(index: number, delta: readonly DeltaStep[], sticky: 'left' | 'right'): number {
  let old = 0
  let mapped = index
  for (const step of delta) {
    if (old > index) break
    if (step.retain !== undefined) old += step.retain
    else if (step.delete !== undefined) {
      mapped -= Math.min(step.delete, Math.max(0, index - old))
      old += step.delete
    } else {
      const length = typeof step.insert === 'string' ? step.insert.length : 1
      if (old < index || sticky === 'right') mapped += length
    }
  }
  return mapped
}

/** True if the character at `index` is gone after the change. */
export function isErased(index: number, delta: readonly DeltaStep[]): boolean {
  let old = 0
  for (const step of delta) {
    if (step.retain !== undefined) old += step.retain
    else if (step.delete !== undefined) {
      if (index >= old && index < old + step.delete) return true
      old += step.delete
    }
    if (old > index) return false
  }
  return false
}
