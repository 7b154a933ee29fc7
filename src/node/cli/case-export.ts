/** `case export FILE`: canonical lines, written as they come; the file appears when it is complete. */
import { stat } from 'node:fs/promises'
import { Refused } from '../api.js'
import type { Client } from '../router.js'
import type { Call } from './call.js'
import { withDevice } from './connect.js'
import { intoFile, type Write } from './into-file.js'
import { count, printable } from './text.js'

export async function exportCases(call: Call, options: { only?: string[] }, file: string): Promise<void> {
  if (file === '-') {
    if (call.json) throw new Refused('usage', 'Standard output takes the cases or the JSON value, not both.')
    const { unreadable } = await withDevice(call, { reads: true }, ({ client }) =>
      writeCases(client, options.only, (text) => call.around.out(String(text))),
    )
    refuseIfShort(unreadable, 'What was written')
    return
  }
  const isThere = await isFile(file)
  const { cases, unreadable } = await withDevice(call, { reads: true }, ({ client }) =>
    intoFile(call.around.onSignal, file, async (write) => {
      const written = await writeCases(client, options.only, write)
      if (isThere) keepWhole(written.unreadable, file)
      return written
    }),
  )
  refuseIfShort(unreadable, file)
  await call.print({ cases }, `${count(cases, 'case')} written to ${file}.`)
}

/** What is written there may hold what can't be read any more. */
export const isFile = (file: string): Promise<boolean> =>
  stat(file).then(
    (found) => found.isFile(),
    () => false,
  )

const named = (ids: string[]) => ids.map((id) => printable(id)).join(', ')

/** The others are written all the same: who keeps them must know what is missing. */
export function refuseIfShort(unreadable: string[], what: string): void {
  if (unreadable.length > 0)
    throw new Refused(
      'store-damaged',
      `${what} lacks what is damaged here and can't be read: ${named(unreadable)}.`,
    )
}

/** An earlier file may hold what can't be read any more. */
export function keepWhole(unreadable: string[], file: string): void {
  if (unreadable.length > 0)
    throw new Refused(
      'store-damaged',
      `Damaged here, and can't be read: ${named(unreadable)}. ${file} stays as it is; write the others to another file.`,
    )
}

async function writeCases(
  client: Client,
  only: string[] | undefined,
  write: Write,
): Promise<{ cases: number; unreadable: string[] }> {
  let cases = 0
  const unreadable: string[] = []
  let after: string | undefined
  for (;;) {
    const page = await client.cases.export({ only, after })
    for (const line of page.lines) await write(`${line}\n`)
    cases += page.lines.length
    unreadable.push(...page.unreadable)
    if (!page.more || page.last === null) return { cases, unreadable }
    after = page.last
  }
}
