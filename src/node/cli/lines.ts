/** Splits a stream of bytes into lines without ever holding more than one that is too long. */

export interface Line {
  /** From 1. */
  number: number
  /** Without its line break; null if it is longer than the limit. */
  bytes: Buffer | null
}

const NEWLINE = 0x0a

export async function* readLines(
  source: AsyncIterable<Buffer | string>,
  limitBytes: number,
): AsyncGenerator<Line> {
  let number = 1
  let parts: Buffer[] = []
  let size = 0
  const take = (part: Buffer) => {
    size += part.length
    if (size > limitBytes) parts = []
    else if (part.length > 0) parts.push(part)
  }
  const line = (): Line => {
    const bytes = size > limitBytes ? null : parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts)
    parts = []
    size = 0
    return { number: number++, bytes }
  }
  for await (const piece of source) {
    const chunk = typeof piece === 'string' ? Buffer.from(piece) : piece
    let from = 0
    for (let to = chunk.indexOf(NEWLINE); to >= 0; to = chunk.indexOf(NEWLINE, from)) {
      take(chunk.subarray(from, to))
      yield line()
      from = to + 1
    }
    take(chunk.subarray(from))
  }
  if (size > 0) yield line()
}
