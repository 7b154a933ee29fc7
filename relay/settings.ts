/**
 * What an operator may set: flags of the command line before the environment (KARTOTEKA_RELAY_…), before
 * `relay.json` in the data folder, before the defaults. Each is checked with a sentence that says what to fix.
 */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { EXPIRY_DAYS, QUOTA_BYTES } from '../src/protocol/mailbox-limits.js'
import { parsePracticeCode } from '../src/protocol/practice-code.js'
import type { RelayError } from './error.js'
import { DAY_MS } from './limits.js'

export const SETTINGS_FILE = 'relay.json'
const ENV_PREFIX = 'KARTOTEKA_RELAY_'
const MEGABYTE = 1024 * 1024

export interface RelaySettings {
  /** undefined: the network's default ports. */
  listen: string[] | undefined
  announce: string[]
  circuit: boolean
  /** undefined: the port registered for STUN. */
  stunPort: number | undefined
  /** Of 127.0.0.1; undefined: no metrics. */
  metricsPort: number | undefined
  quotaBytes: number
  expiryMs: number
  /** Codes of the practices that may use this relay; empty: everybody. */
  allow: string[]
}

/** As given: values of flags and of the file; texts from the environment. */
export interface RelayFlags {
  listen?: unknown
  announce?: unknown
  circuit?: unknown
  stunPort?: unknown
  metrics?: unknown
  quotaMb?: unknown
  expiryDays?: unknown
  allow?: unknown
  store?: unknown
}

type Name = keyof RelayFlags
type Check = (value: unknown, name: string) => unknown

class Unfit extends Error {}

const NAMES: Record<Name, { flag: string; env: string; check: Check }> = {
  listen: { flag: '--listen', env: 'LISTEN', check: addresses },
  announce: { flag: '--announce', env: 'ANNOUNCE', check: addresses },
  circuit: { flag: '--no-circuit', env: 'CIRCUIT', check: yesOrNo },
  stunPort: { flag: '--stun-port', env: 'STUN_PORT', check: whole(0, 65_535) },
  metrics: { flag: '--metrics', env: 'METRICS', check: whole(0, 65_535) },
  quotaMb: { flag: '--quota-mb', env: 'QUOTA_MB', check: whole(1, 1_000_000) },
  expiryDays: { flag: '--expiry-days', env: 'EXPIRY_DAYS', check: whole(1, 36_500) },
  allow: { flag: '--allow', env: 'ALLOW', check: codes },
  store: { flag: '--store', env: 'STORE', check: level },
}

/** The settings that hold, or what is wrong with one of them. */
export async function readSettings(
  flags: RelayFlags,
  env: NodeJS.ProcessEnv,
  folder: string,
): Promise<RelaySettings | RelayError> {
  try {
    const file = await readFileSettings(join(folder, SETTINGS_FILE))
    const known = Object.entries(NAMES) as [Name, (typeof NAMES)[Name]][]
    const values = known.map(([name, { flag, env: suffix, check }]) => {
      const variable = ENV_PREFIX + suffix
      const text = env[variable]
      if (flags[name] !== undefined) return [name, check(flags[name], flag)]
      if (text !== undefined && text !== '') return [name, check(text, variable)]
      return [name, file[name] === undefined ? undefined : check(file[name], `"${name}" in ${SETTINGS_FILE}`)]
    })
    return settingsOf(Object.fromEntries(values) as Record<Name, never>)
  } catch (error) {
    if (error instanceof Unfit) return { code: 'bad-setting', sentence: error.message }
    throw error
  }
}

function settingsOf(values: Record<Name, never>): RelaySettings {
  const { quotaMb = QUOTA_BYTES / MEGABYTE, expiryDays = EXPIRY_DAYS } = values as Record<string, number>
  const { listen, announce = [], allow = [] } = values as Record<string, string[] | undefined>
  return {
    listen,
    announce,
    allow,
    circuit: values.circuit ?? true,
    stunPort: values.stunPort,
    metricsPort: values.metrics,
    quotaBytes: quotaMb * MEGABYTE,
    expiryMs: expiryDays * DAY_MS,
  }
}

async function readFileSettings(path: string): Promise<RelayFlags> {
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return {}
    throw new Unfit(`${path} can't be read. Mend its permissions, or remove it.`)
  }
  let content: unknown
  try {
    content = JSON.parse(text)
  } catch {
    throw new Unfit(`${path} is not JSON. Mend it, or remove it.`)
  }
  if (typeof content !== 'object' || content === null || Array.isArray(content))
    throw new Unfit(`${path} must hold one JSON object.`)
  const unknown = Object.keys(content).find((name) => !Object.hasOwn(NAMES, name))
  if (unknown !== undefined)
    throw new Unfit(
      `${path} has "${unknown}", which is no setting. There are ${Object.keys(NAMES).join(', ')}.`,
    )
  return content
}

/** A list; from the environment separated by commas or blanks. */
function list(value: unknown, name: string): string[] {
  const items = typeof value === 'string' ? value.split(/[\s,]+/).filter(Boolean) : value
  if (!Array.isArray(items) || items.length === 0 || !items.every((item) => typeof item === 'string'))
    throw new Unfit(`${name} must be a list of texts, and not an empty one.`)
  return items
}

function addresses(value: unknown, name: string): string[] {
  const found = list(value, name)
  const wrong = found.find((address) => !/^\/(ip4|ip6|dns|dns4|dns6)\/[^/]+\/tcp\/\d+/.test(address))
  if (wrong !== undefined)
    throw new Unfit(`${name}: "${wrong}" is no address; it should look like /ip4/0.0.0.0/tcp/4001.`)
  return found
}

function codes(value: unknown, name: string): string[] {
  return list(value, name).map((text) => {
    const parsed = parsePracticeCode(text)
    if ('code' in parsed) return parsed.code
    throw new Unfit(`${name}: "${text}" is no practice code; it should look like XXXXXX-XXXXXX-XXXXXX.`)
  })
}

function yesOrNo(value: unknown, name: string): boolean {
  if (typeof value === 'boolean') return value
  if (value === 'true' || value === 'false') return value === 'true'
  throw new Unfit(`${name} must be true or false.`)
}

function level(value: unknown, name: string): string {
  if (value === 'level') return value
  throw new Unfit(`${name} must be "level": there is no other store.`)
}

function whole(least: number, most: number): Check {
  return (value, name) => {
    const number = typeof value === 'string' && /^\d+$/.test(value) ? Number(value) : value
    if (typeof number === 'number' && Number.isInteger(number) && number >= least && number <= most)
      return number
    throw new Unfit(`${name} must be a whole number from ${least} to ${most}.`)
  }
}
