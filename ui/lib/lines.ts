/** A file of cases as numbered lines, gathered into calls of a bearable size. */

export interface Line {
  line: number
  text: string
}

export interface Batch {
  lines: Line[]
  /** Numbers of lines that aren't UTF-8: read as if they were, they would lose letters. */
  notText: number[]
}

/** Enough for speed, little enough for a progress bar that moves and a device that stays responsive. */
export const batchBytes = 1_000_000
export const batchLines = 250

const newline = 0x0a

/** Turns pieces of a file into batches; only '\n' divides lines, and empty ones are passed over. */
export async function* batches(pieces: AsyncIterable<Uint8Array>): AsyncGenerator<Batch> {
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
  let number = 0
  let rest: Uint8Array[] = []
  let batch: Batch = { lines: [], notText: [] }
  let size = 0
  const take = (last: Uint8Array) => {
    const bytes = rest.length === 0 ? last : joined([...rest, last])
    rest = []
    number++
    size += bytes.length
    try {
      const text = decoder.decode(bytes)
      if (text.trim() !== '')
        batch.lines.push({ line: number, text: number === 1 ? text.replace(/^\ufeff/, '') : text })
    } catch {
      batch.notText.push(number)
    }
  }
  const isFull = () => size >= batchBytes || batch.lines.length + batch.notText.length >= batchLines
  for await (const piece of pieces) {
    let from = 0
    for (let to = piece.indexOf(newline); to >= 0; to = piece.indexOf(newline, from)) {
      take(piece.subarray(from, to))
      from = to + 1
      if (!isFull()) continue
      yield batch
      batch = { lines: [], notText: [] }
      size = 0
    }
    rest.push(piece.subarray(from))
  }
  if (rest.some(({ length }) => length > 0)) take(new Uint8Array(0))
  if (batch.lines.length + batch.notText.length > 0) yield batch
}

function joined(parts: Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0))
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.length
  }
  return whole
}
