/** `case export FILE`: canonical lines, written as they come; the file appears when it is complete. */
import { Refused } from '../api.js'
import type { Client } from '../router.js'
import type { Call } from './call.js'
import { withDevice } from './connect.js'
import { intoFile, type Write } from './into-file.js'
import { count } from './text.js'

export async function exportCases(call: Call, options: { only?: string[] }, file: string): Promise<void> {
  if (file === '-') {
    if (call.json) throw new Refused('usage', 'Standard output takes the cases or the JSON value, not both.')
    await withDevice(call, { reads: true }, ({ client }) =>
      writeCases(client, options.only, (text) => call.around.out(String(text))),
    )
    return
  }
  const cases = await withDevice(call, { reads: true }, ({ client }) =>
    intoFile(call.around.onSignal, file, (write) => writeCases(client, options.only, write)),
  )
  await call.print({ cases }, `${count(cases, 'case')} written to ${file}.`)
}

async function writeCases(client: Client, only: string[] | undefined, write: Write): Promise<number> {
  let cases = 0
  let after: string | undefined
  for (;;) {
    const page = await client.cases.export({ only, after })
    for (const line of page.lines) await write(`${line}\n`)
    cases += page.lines.length
    if (!page.more || page.last === null) return cases
    after = page.last
  }
}
