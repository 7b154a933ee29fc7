/**
 * `case import FILE`: a file of any size, sent to the device in batches. A line's text reaches the
 * device as it stands: parsing it here would lose what JSON objects of JavaScript can't keep.
 */
import type { ImportReport } from '../contract.js'
import type { Call } from './call.js'
import { withDevice } from './connect.js'
import { fileRefusal, MAX_TEXT_BYTES, openInput } from './input.js'
import { readLines } from './lines.js'
import { count, printable } from './text.js'

/** Large enough that a call costs little, small enough that the device's other work goes on. */
export const BATCH_BYTES = 2 * 1024 * 1024
export const BATCH_LINES = 1000
const PROGRESS_MS = 2000

type Batch = { line: number; text: string }[]

export async function importCases(call: Call, options: { preview?: boolean }, file: string): Promise<number> {
  const { preview = false } = options
  const report = await withDevice(call, {}, async ({ client }) => {
    const sum: ImportReport = { added: 0, merged: 0, unchanged: 0, errors: [] }
    let told = performance.now()
    for await (const batch of readBatches(file, call, sum.errors)) {
      const part = await client.cases.import({ lines: batch, preview })
      sum.added += part.added
      sum.merged += part.merged
      sum.unchanged += part.unchanged
      for (const error of part.errors) sum.errors.push(error)
      if (part.deleted) sum.deleted = (sum.deleted ?? 0) + part.deleted
      if (part.replaced) sum.replaced = [...(sum.replaced ?? []), ...part.replaced]
      if (performance.now() - told > PROGRESS_MS) {
        told = performance.now()
        call.note(`${batch.at(-1)?.line} lines read …`)
      }
    }
    sum.errors.sort((a, b) => a.line - b.line)
    return sum
  })
  const lines = report.errors.map(({ line, reason }) => `Line ${line}: ${reason}`)
  const says = preview ? 'would no longer say' : 'no longer says'
  for (const { line, id, field, was } of report.replaced ?? [])
    lines.push(`Line ${line}: ${printable(`${field} of ${id} ${says}: ${was}`)}`)
  const did = preview ? 'would be added' : 'added'
  const stay = report.deleted ? `, ${report.deleted} of them deleted here` : ''
  const sum = `${count(report.added, 'case')} ${did}, ${report.merged} merged, ${report.unchanged} unchanged${stay}.`
  await call.print(report, [...lines, sum].join('\n'))
  if (report.errors.length === 0) return 0
  call.note(`${count(report.errors.length, 'line')} could not be imported.`)
  return 1
}

/** Lines that can't even be sent are reported at once. */
async function* readBatches(file: string, call: Call, errors: ImportReport['errors']): AsyncGenerator<Batch> {
  const decoder = new TextDecoder('utf-8', { fatal: true })
  let batch: Batch = []
  let size = 0
  const lines = readLines(openInput(file, call.around.stdin), MAX_TEXT_BYTES)
  for (;;) {
    const next = await lines.next().catch((error: unknown) => {
      throw fileRefusal(error, file, 'read')
    })
    if (next.done) break
    const { number: line, bytes } = next.value
    const text = bytes && decode(decoder, bytes)
    if (text === null) {
      const reason = bytes ? 'It is not UTF-8 text.' : `It is longer than ${MAX_TEXT_BYTES} bytes.`
      errors.push({ line, reason })
      continue
    }
    // Blank lines are no cases and no mistakes.
    if (bytes === null || /^[ \t\r]*$/.test(text)) continue
    if (batch.length > 0 && (size + bytes.length > BATCH_BYTES || batch.length >= BATCH_LINES)) {
      yield batch
      batch = []
      size = 0
    }
    batch.push({ line, text })
    size += bytes.length
  }
  if (batch.length > 0) yield batch
}

/** null if it isn't UTF-8; a byte order mark is dropped. */
function decode(decoder: InstanceType<typeof TextDecoder>, bytes: Buffer): string | null {
  try {
    return decoder.decode(bytes)
  } catch {
    return null
  }
}
