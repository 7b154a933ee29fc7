/** `case export FILE`: canonical lines, written as they come; the file appears when it is complete. */
import { type FileHandle, open, rename, rm, stat } from 'node:fs/promises'
import { Refused } from '../api.js'
import type { Client } from '../router.js'
import type { Call } from './call.js'
import { withDevice } from './connect.js'
import { fileRefusal } from './input.js'
import { count } from './text.js'

type Write = (text: string | Uint8Array) => Promise<unknown>

export async function exportCases(call: Call, options: { only?: string[] }, file: string): Promise<void> {
  if (file === '-') {
    if (call.json) throw new Refused('usage', 'Standard output takes the cases or the JSON value, not both.')
    await withDevice(call, { reads: true }, ({ client }) =>
      writeCases(client, options.only, (text) => call.around.out(String(text))),
    )
    return
  }
  const cases = await withDevice(call, { reads: true }, ({ client }) =>
    intoFile(file, (write) => writeCases(client, options.only, write)),
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

/** Whole or not at all, readable by this user only; a device such as a pipe is written directly. */
export async function intoFile<T>(file: string, fill: (write: Write) => Promise<T>): Promise<T> {
  const special = await stat(file).then(
    (found) => !found.isFile(),
    () => false,
  )
  const target = special ? file : `${file}.part`
  let handle: FileHandle | undefined
  try {
    handle = await open(target, 'w', 0o600)
    const result = await fill(buffered(handle))
    if (!special) await handle.sync()
    await handle.close()
    if (!special) await rename(target, file)
    return result
  } catch (error) {
    await handle?.close().catch(() => {})
    if (handle && !special) await rm(target, { force: true })
    throw isSystemError(error) ? fileRefusal(error, file, 'written') : error
  }
}

/** The handle's own writes may be partial; this one's are whole. */
function buffered(handle: FileHandle): Write {
  return (text) => handle.appendFile(text)
}

function isSystemError(error: unknown): boolean {
  return typeof (error as { syscall?: unknown }).syscall === 'string'
}
