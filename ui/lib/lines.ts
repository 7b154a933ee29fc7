/** A file of cases as numbered lines, gathered into calls of a bearable size. */

export interface Line {
  line: number
  text: string
}

/** Enough for speed, little enough for a progress bar that moves and a device that stays responsive. */
export const batchCharacters = 1_000_000
export const batchLines = 250

/** Turns pieces of a file into batches; only '\n' divides lines, and empty ones are passed over. */
export async function* batches(pieces: AsyncIterable<string>): AsyncGenerator<Line[]> {
  let number = 0
  let rest: string[] = []
  let batch: Line[] = []
  let size = 0
  const take = (text: string) => {
    number++
    if (text.trim() === '') return
    batch.push({ line: number, text: number === 1 ? text.replace(/^\ufeff/, '') : text })
    size += text.length
  }
  for await (const piece of pieces) {
    const parts = piece.split('\n')
    for (let index = 0; index < parts.length - 1; index++) {
      take([...rest, parts[index]!].join(''))
      rest = []
      if (size >= batchCharacters || batch.length >= batchLines) {
        yield batch
        batch = []
        size = 0
      }
    }
    rest.push(parts.at(-1)!)
  }
  const last = rest.join('')
  if (last) take(last)
  if (batch.length > 0) yield batch
}
