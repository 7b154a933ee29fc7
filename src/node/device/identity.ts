/**
 * The device's secrets: its Ed25519 seed (the libp2p identity), its X25519 secret, and the data key that seals
 * the store. For now in one file that only this user can read.
 */
import { createHash, randomBytes } from 'node:crypto'
import { open, readFile, rename } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fromHex, toHex } from '../../protocol/bytes.js'
import { Refused } from '../api.js'
import { publicKeyOf } from '../key-pairs.js'
import { syncFolder } from './store-repair.js'

export interface KeyPairs {
  ed: Uint8Array
  edSecret: Uint8Array
  x: Uint8Array
  xSecret: Uint8Array
}

export interface Identity extends KeyPairs {
  dataKey: Uint8Array
  /** Those of the folders that this one was copied from, the newest first: by their word it belongs to the practice. */
  former: KeyPairs[]
}

const FILE = 'keys.json'
const SECRET_BYTES = 32
/** However often others say that a copy runs: each time is one more name in the list of devices. */
const MAX_FORMER = 4

/** Version 1; files of the first builds have no check. */
interface KeyFile {
  version: number
  ed25519: string
  x25519: string
  dataKey: string
  /** The newest first; files of the first builds have none. */
  former?: { ed25519: string; x25519: string }[]
  check?: string
}

/** Of the secrets as they are written, so that a damaged one is noticed. Too short to tell anything about them. */
function checkOf(...secrets: string[]): string {
  return createHash('sha256').update(secrets.join('\0')).digest('hex').slice(0, 16)
}

/** Made at the first start, under the folder's lock, and the same ever after. New keys over an old store would lose it. */
export async function loadIdentity(folder: string, mayCreate: boolean): Promise<Identity> {
  const path = join(folder, FILE)
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    if (!mayCreate) throw lostKeys(path)
    return createIdentity(path)
  }
  // Its start may have ended before the name of the file was on the disk; nothing is sealed with it yet.
  if (mayCreate) await syncFolder(folder)
  try {
    return readKeys(JSON.parse(text) as KeyFile)
  } catch {
    throw new Refused(
      'keys-damaged',
      `The key file ${path} can't be read. Without it the cases here can't be opened.`,
    )
  }
}

const lostKeys = (path: string) =>
  new Refused(
    'keys-damaged',
    `The key file ${path} is gone. Put it back: without it the cases here can't be opened.`,
  )

const newSecret = () => randomBytes(SECRET_BYTES).toString('hex')

function createIdentity(path: string): Promise<Identity> {
  return writeKeys(path, { version: 1, ed25519: newSecret(), x25519: newSecret(), dataKey: newSecret() })
}

/**
 * Another process has this device's keys: from the next start on this folder is a device of its own, which its former
 * keys enrol. The store stays readable. Durable when it returns.
 */
export async function renewIdentity(folder: string, identity: Identity): Promise<void> {
  const { dataKey, former } = identity
  if (former.length >= MAX_FORMER) throw new Error('this folder has had too many keys')
  await writeKeys(join(folder, FILE), {
    version: 1,
    ed25519: newSecret(),
    x25519: newSecret(),
    dataKey: toHex(dataKey),
    former: [identity, ...former].map(({ edSecret, xSecret }) => ({
      ed25519: toHex(edSecret),
      x25519: toHex(xSecret),
    })),
  })
}

function readKeys(file: KeyFile): Identity {
  if (file.version !== 1) throw new Error('version')
  // A digit that has rotted is a digit still: another key would find every case damaged.
  if (file.check !== undefined && file.check !== checkOf(...secretsOf(file))) throw new Error('check')
  return {
    ...keyPairs(file),
    dataKey: secretOf(file.dataKey),
    former: (file.former ?? []).map(keyPairs),
  }
}

function secretsOf({ ed25519, x25519, dataKey, former = [] }: KeyFile): string[] {
  return [ed25519, x25519, dataKey, ...former.flatMap((each) => [each.ed25519, each.x25519])].map(String)
}

function secretOf(hex: string): Uint8Array {
  const secret = fromHex(String(hex))
  if (secret.length !== SECRET_BYTES) throw new Error('length')
  return secret
}

async function writeKeys(path: string, keys: KeyFile): Promise<Identity> {
  const content = { ...keys, check: checkOf(...secretsOf(keys)) }
  // Whole or not at all, and on the disk before anything is sealed with it.
  const part = `${path}.new`
  const file = await open(part, 'w', 0o600)
  try {
    await file.writeFile(JSON.stringify(content))
    await file.sync()
  } finally {
    await file.close()
  }
  await rename(part, path)
  await syncFolder(dirname(path))
  return readKeys(content)
}

function keyPairs({ ed25519, x25519 }: { ed25519: string; x25519: string }): KeyPairs {
  const [edSecret, xSecret] = [secretOf(ed25519), secretOf(x25519)]
  return { ed: publicKeyOf('ed25519', edSecret), edSecret, x: publicKeyOf('x25519', xSecret), xSecret }
}
