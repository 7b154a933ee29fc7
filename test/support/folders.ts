/** What lies in a folder, byte by byte. */
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'

function files(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
}

/** A database removes files at any time. */
function quietly<T>(work: () => T, otherwise: T): T {
  try {
    return work()
  } catch {
    return otherwise
  }
}

export function folderBytes(folder: string): number {
  return files(folder).reduce((sum, file) => sum + quietly(() => statSync(file).size, 0), 0)
}

/** Whether these bytes are in any of its files. */
export function folderHolds(folder: string, bytes: Uint8Array): boolean {
  return files(folder).some((file) => quietly(() => readFileSync(file).includes(Buffer.from(bytes)), false))
}
