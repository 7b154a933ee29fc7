/**
 * The device's secrets: its Ed25519 seed (the libp2p identity), its X25519 secret, and the data key that seals
 * the store. For now in one file that only this user can read.
 */
import { createHash, createPrivateKey, createPublicKey, randomBytes } from 'node:crypto'
import { open, readFile, rename } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { concat, fromHex } from '../../protocol/bytes.js'
import { Refused } from '../api.js'
import { syncFolder } from './store-repair.js'

export interface Identity {
  ed: Uint8Array
  edSecret: Uint8Array
  x: Uint8Array
  xSecret: Uint8Array
  dataKey: Uint8Array
}

const FILE = 'keys.json'

/** Version 1; files of the first builds have no check. */
interface KeyFile {
  version: number
  ed25519: string
  x25519: string
  dataKey: string
  check?: string
}

/** Of the three secrets as they are written, so that a damaged one is noticed. Too short to tell anything about them. */
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
    const { version, ed25519: edSecret, x25519: xSecret, dataKey, check } = JSON.parse(text) as KeyFile
    if (version !== 1) throw new Error('version')
    // A digit that has rotted is a digit still: another key would find every case damaged.
    if (check !== undefined && check !== checkOf(edSecret, xSecret, dataKey)) throw new Error('check')
    return identityOf(fromHex(String(edSecret)), fromHex(String(xSecret)), fromHex(String(dataKey)))
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

async function createIdentity(path: string): Promise<Identity> {
  const secrets = { ed: randomBytes(32), x: randomBytes(32), data: randomBytes(32) }
  const [ed25519, x25519, dataKey] = [secrets.ed, secrets.x, secrets.data].map((key) =>
    key.toString('hex'),
  ) as [string, string, string]
  const content: KeyFile = { version: 1, ed25519, x25519, dataKey, check: checkOf(ed25519, x25519, dataKey) }
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
  return identityOf(secrets.ed, secrets.x, secrets.data)
}

function identityOf(edSecret: Uint8Array, xSecret: Uint8Array, dataKey: Uint8Array): Identity {
  if ([edSecret, xSecret, dataKey].some((key) => key.length !== 32)) throw new Error('length')
  const [edSeed, xSeed, data] = [edSecret, xSecret, dataKey].map((key) => Uint8Array.from(key)) as [
    Uint8Array,
    Uint8Array,
    Uint8Array,
  ]
  return {
    ed: publicKeyOf(ED25519, edSeed),
    edSecret: edSeed,
    x: publicKeyOf(X25519, xSeed),
    xSecret: xSeed,
    dataKey: data,
  }
}

/** What stands before the raw secret in PKCS #8 (RFC 8410), up to and with the curve's number and the lengths. */
const ED25519 = '302e020100300506032b657004220420'
const X25519 = '302e020100300506032b656e04220420'

/** By the platform: portable code takes 50 ms for its tables, at every start. */
function publicKeyOf(prefix: string, secret: Uint8Array): Uint8Array {
  const key = Buffer.from(concat([fromHex(prefix), secret]))
  const spki = createPublicKey(createPrivateKey({ key, format: 'der', type: 'pkcs8' })).export({
    format: 'der',
    type: 'spki',
  })
  return Uint8Array.from(spki.subarray(-secret.length))
}
