/** Files that a command writes: whole or not at all, readable by this user only. */
import { randomBytes } from 'node:crypto'
import { type FileHandle, open, realpath, rename, rm, stat } from 'node:fs/promises'
import type { Surroundings } from './call.js'
import { interrupted } from './connect.js'
import { fileRefusal } from './input.js'

export type Write = (text: string | Uint8Array) => Promise<unknown>

/**
 * The file appears when it is complete; a device such as a pipe is written directly. Its part has a name that nobody
 * else writes under, and goes when the command is interrupted: it may hold cases.
 */
export async function intoFile<T>(
  onSignal: Surroundings['onSignal'],
  file: string,
  fill: (write: Write) => Promise<T>,
): Promise<T> {
  const special = await stat(file).then(
    (found) => !found.isFile(),
    () => false,
  )
  // A link stays one: what it leads to, on a stick maybe, is what is meant.
  const place = await realpath(file).catch(() => file)
  const target = special ? file : `${place}.${randomBytes(6).toString('hex')}.part`
  let off = () => {}
  const stopped = new Promise<never>((_, reject) => {
    off = onSignal(() => reject(interrupted()))
  })
  stopped.catch(() => {})
  let handle: FileHandle | undefined
  try {
    handle = await open(target, special ? 'w' : 'wx', 0o600)
    const result = await Promise.race([fill(buffered(handle)), stopped])
    if (!special) await handle.sync()
    await handle.close()
    if (!special) await rename(target, place)
    return result
  } catch (error) {
    await handle?.close().catch(() => {})
    if (handle && !special) await rm(target, { force: true })
    throw isSystemError(error) ? fileRefusal(error, file, 'written') : error
  } finally {
    off()
  }
}

/** The handle's own writes may be partial; this one's are whole. */
function buffered(handle: FileHandle): Write {
  return (text) => handle.appendFile(text)
}

function isSystemError(error: unknown): boolean {
  return typeof (error as { syscall?: unknown }).syscall === 'string'
}
