/**
 * The device's secrets: its Ed25519 seed (the libp2p identity), its X25519 secret, and the data key that seals
 * the store. For now in one file that only this user can read.
 */
import { createPrivateKey, createPublicKey, randomBytes } from 'node:crypto'
import { open, readFile, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { concat, fromHex } from '../../protocol/bytes.js'
import { Refused } from '../api.js'

export interface Identity {
  ed: Uint8Array
  edSecret: Uint8Array
  x: Uint8Array
  xSecret: Uint8Array
  dataKey: Uint8Array
}

const FILE = 'keys.json'

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
  try {
    const {
      version,
      ed25519: edSecret,
      x25519: xSecret,
      dataKey,
    } = JSON.parse(text) as Record<string, string | number>
    if (version !== 1) throw new Error('version')
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
  const content = {
    version: 1,
    ed25519: secrets.ed.toString('hex'),
    x25519: secrets.x.toString('hex'),
    dataKey: secrets.data.toString('hex'),
  }
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
