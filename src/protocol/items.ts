/**
 * Whole cases in messages. A case that is too large for one travels in pieces, one message each, right behind each
 * other in one lane; it is taken as a whole when the last one is here.
 */
import { equalBytes } from './bytes.js'
import { MAX_CASE_STATE_BYTES, MAX_PAYLOAD_BYTES } from './limits.js'
import type { Item } from './sync.gen.js'

/** Bytes of a case's content: its parts and what waits in it. */
export function contentBytes({ parts, parked }: Pick<Item, 'parts' | 'parked'>): number {
  const payloads = [...parts, ...parked.map(({ payload }) => payload)]
  return payloads.reduce((sum, payload) => sum + payload.length, 0)
}

/** An item as one or several pieces, none with more content than one payload of the largest size. */
export function piecesOf(item: Item): Item[] {
  const pieces: Item[] = [{ ...item, parts: [], parked: [] }]
  let bytes = 0
  const roomFor = (length: number): Item => {
    if (bytes + length > MAX_PAYLOAD_BYTES) {
      pieces.push(bare(item))
      bytes = 0
    }
    bytes += length
    return pieces[pieces.length - 1]!
  }
  for (const part of item.parts) roomFor(part.length).parts.push(part)
  for (const parked of item.parked) roomFor(parked.payload.length).parked.push(parked)
  for (const piece of pieces.slice(0, -1)) piece.more = true
  return pieces
}

/** What a later piece says of its case. */
const bare = ({ key, caseId }: Item): Item => ({
  key,
  caseId,
  generation: 0,
  erased: 0,
  touched: [],
  parts: [],
  parked: [],
  row: new Uint8Array(0),
  clocks: [],
  more: false,
})

/** Items as messages: small ones together, a large one in messages of its own. */
export function itemMessages(items: Item[]): Item[][] {
  const messages: Item[][] = []
  let gathered: Item[] = []
  let bytes = 0
  const close = () => {
    if (gathered.length > 0) messages.push(gathered)
    gathered = []
    bytes = 0
  }
  for (const item of items) {
    const length = contentBytes(item)
    if (bytes + length > MAX_PAYLOAD_BYTES) close()
    if (length > MAX_PAYLOAD_BYTES) for (const piece of piecesOf(item)) messages.push([piece])
    else {
      gathered.push(item)
      bytes += length
    }
  }
  close()
  return messages
}

/** Puts the pieces of one lane together. */
export class ItemAssembly {
  private begun: Item | undefined
  private bytes = 0

  /** The cases that are whole with these items; undefined if pieces don't follow each other or grow too large. */
  add(items: Item[]): Item[] | undefined {
    const whole: Item[] = []
    for (const item of items) {
      // As nearly all come; no message is as long as a case may be.
      if (!this.begun && !item.more) {
        whole.push(item)
        continue
      }
      if (!this.begun) this.begun = { ...item, parts: [], parked: [] }
      else if (!equalBytes(this.begun.key, item.key)) return undefined
      // One by one: of very many, a call with each as an argument would throw.
      for (const part of item.parts) this.begun.parts.push(part)
      for (const parked of item.parked) this.begun.parked.push(parked)
      this.bytes += contentBytes(item)
      if (this.bytes > MAX_CASE_STATE_BYTES) return undefined
      if (item.more) continue
      whole.push({ ...this.begun, more: false })
      this.reset()
    }
    return whole
  }

  /** What has begun will not go on. */
  reset(): void {
    this.begun = undefined
    this.bytes = 0
  }
}
