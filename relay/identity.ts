/** The relay's Ed25519 seed: devices know the relay by its key, so it stays the same for as long as the folder. */
import { randomBytes } from 'node:crypto'
import { chmod, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fromHex, toHex } from '../src/protocol/bytes.js'
import type { RelayError } from './error.js'
import { writeWhole } from './store/folder.js'

const FILE = 'identity.json'
const SEED_BYTES = 32

/** Made at the first start, under the folder's lock. */
export async function loadRelayIdentity(folder: string): Promise<{ seed: Uint8Array } | RelayError> {
  const path = join(folder, FILE)
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') return unreadable(path)
    const seed = Uint8Array.from(randomBytes(SEED_BYTES))
    await writeWhole(path, `${JSON.stringify({ version: 1, ed25519: toHex(seed) })}\n`)
    return { seed }
  }
  await chmod(path, 0o600).catch(() => {})
  try {
    const { version, ed25519 } = JSON.parse(text) as { version?: unknown; ed25519?: unknown }
    const seed = fromHex(String(ed25519))
    return version === 1 && seed.length === SEED_BYTES ? { seed } : unreadable(path)
  } catch {
    return unreadable(path)
  }
}

function unreadable(path: string): RelayError {
  const sentence = `The identity file ${path} can't be read. Put it back from a backup: with another one, devices refuse this relay.`
  return { code: 'identity-damaged', sentence }
}
