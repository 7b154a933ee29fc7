/**
 * Where a device keeps its data, and the link file in it through which the command line finds the
 * running device: `link.json`, readable by this user only, written when the local server listens
 * and removed last.
 */
import { randomBytes } from 'node:crypto'
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join, resolve } from 'node:path'

export interface LinkFile {
  port: number
  pid: number
  /** The secret of this run; see `local-server-proof.ts`. */
  token: string
}

const LINK_FILE = 'link.json'

/** `--data`, else `KARTOTEKA_DATA`, else the platform's folder for a program's data. */
export function dataFolder(
  option: string | undefined,
  env: NodeJS.ProcessEnv = process.env,
  platform: NodeJS.Platform = process.platform,
): string {
  return resolve(option || env.KARTOTEKA_DATA || platformFolder(env, platform))
}

/** A relay's: `--data`, else `KARTOTEKA_RELAY_DATA`, else beside the platform's folder for a device. */
export function relayFolder(
  option: string | undefined,
  env: NodeJS.ProcessEnv = process.env,
  platform: NodeJS.Platform = process.platform,
): string {
  return resolve(option || env.KARTOTEKA_RELAY_DATA || `${platformFolder(env, platform)}-relay`)
}

function platformFolder(env: NodeJS.ProcessEnv, platform: NodeJS.Platform): string {
  const home = homedir()
  if (platform === 'darwin') return join(home, 'Library', 'Application Support', 'Kartoteka')
  if (platform === 'win32') return join(env.LOCALAPPDATA || join(home, 'AppData', 'Local'), 'Kartoteka')
  // The XDG specification: a relative path is to be ignored.
  const xdg = env.XDG_DATA_HOME?.startsWith('/') ? env.XDG_DATA_HOME : undefined
  return join(xdg ?? join(home, '.local', 'share'), 'kartoteka')
}

/** Written whole or not at all, and never readable by another user. */
export async function writeLinkFile(folder: string, link: LinkFile): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const part = join(folder, `${LINK_FILE}.${randomBytes(6).toString('hex')}`)
  await writeFile(part, JSON.stringify(link), { mode: 0o600, flag: 'wx' })
  await rename(part, join(folder, LINK_FILE))
}

/** null when there is none, or none that can be read. */
export async function readLinkFile(folder: string): Promise<LinkFile | null> {
  try {
    const link = JSON.parse(await readFile(join(folder, LINK_FILE), 'utf8')) as LinkFile
    const sound = Number.isInteger(link.port) && Number.isInteger(link.pid) && typeof link.token === 'string'
    return sound ? link : null
  } catch {
    return null
  }
}

/** Removes the link file of this run; one that a later run has written stays. */
export async function removeLinkFile(folder: string, token: string): Promise<void> {
  const link = await readLinkFile(folder)
  if (link?.token === token) await rm(join(folder, LINK_FILE), { force: true })
}
