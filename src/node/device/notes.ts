/** Small things a device keeps about itself: settings, where its peers were, and its log in plain sentences. */
import { utf8 } from '../../protocol/bytes.js'
import { keys } from '../../store/keyspace.js'
import { DamagedError, type SealedDb, type Write } from '../../store/sealed-db.js'
import { Refused } from '../api.js'
import type { KnownPeer } from './peer-addresses.js'

export interface LogLine {
  at: number
  code: string
  text: string
}

interface Setting {
  fallback: string
  accepts: (value: string) => boolean
  expected: string
}

const wholeNumber = (max: number) => (value: string) => /^\d{1,5}$/.test(value) && Number(value) <= max
const oneOf = (...values: string[]) => ({
  accepts: (value: string) => values.includes(value),
  expected: values.join(', '),
})

/** Every setting, its default, and what it accepts. */
export const SETTINGS: Readonly<Record<string, Setting>> = {
  lan: { fallback: 'true', ...oneOf('true', 'false') },
  listen: {
    fallback: '',
    accepts: (value) => value === '' || value.split(/[\s,]+/).every((address) => address.startsWith('/')),
    expected: 'multiaddrs separated by commas, or nothing',
  },
  language: { fallback: '', ...oneOf('', 'en', 'pl') },
  theme: { fallback: 'system', ...oneOf('light', 'dark', 'system') },
  lockMinutes: { fallback: '0', accepts: wholeNumber(1440), expected: 'minutes, 0 to 1440' },
  backupReminderDays: { fallback: '30', accepts: wholeNumber(3650), expected: 'days, 0 to 3650' },
  attachmentsHere: { fallback: 'demand', ...oneOf('demand', 'all') },
}

const LOG_LINES = 300

export class Notes {
  readonly peers = new Map<string, KnownPeer>()
  /** The name this device was given; the roster's stands once there is one. */
  settings: Record<string, string> = {}
  log: LogLine[] = []
  /** A Cloud PIN was chosen, or used to join. Nothing that derives from it is kept. */
  pinChosen = false
  private wasDamaged = false

  constructor(
    private readonly db: SealedDb,
    private readonly now: () => number,
  ) {}

  async load(): Promise<void> {
    this.settings = (await this.read<Record<string, string>>('settings')) ?? {}
    this.log = (await this.read<LogLine[]>('log')) ?? []
    this.pinChosen = (await this.read<boolean>('pinChosen')) ?? false
    for (const [peer, known] of Object.entries((await this.read<Record<string, KnownPeer>>('peers')) ?? {})) {
      this.peers.set(peer, known)
    }
    if (this.wasDamaged)
      await this.say('store-damaged', 'Some settings of this device were damaged and are as at first again.')
  }

  get(setting: string): string {
    return this.settings[setting] ?? SETTINGS[setting]?.fallback ?? ''
  }

  all(): Record<string, string> {
    return Object.fromEntries(Object.keys(SETTINGS).map((key) => [key, this.get(key)]))
  }

  async set(key: string, value: string): Promise<void> {
    const setting = Object.hasOwn(SETTINGS, key) ? SETTINGS[key] : undefined
    if (!setting)
      throw new Refused(
        'no-setting',
        `There is no setting "${key}". Known are: ${Object.keys(SETTINGS).join(', ')}.`,
      )
    if (!setting.accepts(value)) throw new Refused('bad-setting', `"${key}" takes: ${setting.expected}.`)
    this.settings[key] = value
    await this.write('settings', this.settings)
  }

  async choosePin(): Promise<void> {
    await this.saveDurably('pinChosen', true)
    this.pinChosen = true
  }

  /** Adds a sentence to the device's log. */
  async say(code: string, text: string): Promise<void> {
    this.log = [...this.log, { at: this.now(), code, text }].slice(-LOG_LINES)
    await this.write('log', this.log).catch(() => {})
  }

  async savePeers(): Promise<void> {
    await this.write('peers', Object.fromEntries(this.peers)).catch(() => {})
  }

  /** After each meeting something of them is new; the next meeting would wait for a flush of it. */
  async savePeersLightly(): Promise<void> {
    await this.db.writeLightly([noteWrite('peers', Object.fromEntries(this.peers))]).catch(() => {})
  }

  /** A number that only this device keeps, such as wrong tries; durable when it returns. */
  async saveDurably(name: string, value: unknown): Promise<void> {
    await this.db.write([noteWrite(name, value)])
    await this.db.flush()
  }

  async read<T>(name: string): Promise<T | undefined> {
    const value = await this.db.get(keys.note(utf8(name))).catch((error: unknown) => {
      if (!(error instanceof DamagedError)) throw error
      this.wasDamaged = true
      return undefined
    })
    return value && (JSON.parse(new TextDecoder().decode(value)) as T)
  }

  private write(name: string, value: unknown): Promise<void> {
    return this.db.write([noteWrite(name, value)])
  }
}

/** For a batch of something else. */
export function noteWrite(name: string, value: unknown): Write {
  return { key: keys.note(utf8(name)), value: utf8(JSON.stringify(value)) }
}
