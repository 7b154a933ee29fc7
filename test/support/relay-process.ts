/** A relay as a real process, and devices that speak to it by hand over the real network. */
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Channel } from '../../src/node/frames.js'
import { createHost, type Host } from '../../src/node/host.js'
import { MAILBOX_VERSION, OLDEST_MAILBOX_VERSION } from '../../src/protocol/mailbox-limits.js'
import { decodeMailFrame, encodeMailFrame, type MailFrameKind } from '../../src/protocol/mailbox-wire.js'
import type { Roster } from '../../src/protocol/roster.js'
import type { TestDevice } from '../protocol/roster-helpers.js'
import { afterwards, begin, type Outcome, type Running, tempFolder, until } from './processes.js'
import type { Value } from './relay.js'

const ANSWER_TIMEOUT_MS = 60_000
const READY_TIMEOUT_MS = 60_000

export class RelayProcess {
  readonly folder: string
  addresses: string[] = []
  metrics = 0
  private process: Running | undefined

  constructor(
    private readonly args: string[] = [],
    folder?: string,
    private readonly env: Record<string, string> = {},
    private readonly under: string[] = [],
  ) {
    this.folder = folder ?? join(tempFolder(), 'relay')
  }

  get stderr(): string {
    return this.process?.seen.stderr ?? ''
  }

  get pid(): number {
    return this.process!.pid
  }

  /** Again at the same address. */
  async start(): Promise<this> {
    const [was] = this.addresses.map((address) => address.replace(/\/p2p\/.*$/, ''))
    const args = ['--listen', was ?? '/ip4/127.0.0.1/tcp/0', '--stun-port', '0', ...this.args]
    const process = begin(['relay', '--data', this.folder, '--json', ...args], {
      env: this.env,
      under: this.under,
    })
    let early: Outcome | undefined
    void process.ended.then((outcome) => {
      early = outcome
    })
    await until(() => process.seen.stdout.includes('\n') || early !== undefined, READY_TIMEOUT_MS)
    if (early) throw new Error(`the relay did not start: ${early.stdout}${early.stderr}`)
    const ready = JSON.parse(process.seen.stdout) as {
      addresses: string[]
      metrics: number | null
      error?: { sentence: string }
    }
    if (ready.error) throw new Error(`the relay did not start: ${ready.error.sentence}`)
    this.addresses = ready.addresses
    this.metrics = ready.metrics ?? 0
    this.process = process
    return this
  }

  async kill(): Promise<void> {
    const { process } = this
    this.process = undefined
    process?.child.kill('SIGKILL')
    await process?.ended
  }

  /** Stops it as an operator does. */
  async stop(): Promise<Outcome> {
    const { process } = this
    this.process = undefined
    process!.child.kill('SIGTERM')
    return process!.ended
  }
}

/** A device's end of the mailbox, message by message. */
export class MailClient {
  readonly seen: MailFrameKind[] = []
  isClosed = false
  private number = 0
  private changed = () => {}

  private constructor(
    readonly host: Host,
    private readonly channel: Channel,
  ) {
    void this.read()
  }

  /** undefined where the relay can't be reached. A host of before is used again. */
  static async dial(device: TestDevice, relay: RelayProcess, known?: Host): Promise<MailClient | undefined> {
    const host = known ?? (await MailClient.host(device))
    const opened = await host.dial(relay.addresses, '/kartoteka/mailbox/1')
    return 'channel' in opened ? new MailClient(host, opened.channel) : undefined
  }

  private static async host(device: TestDevice): Promise<Host> {
    const host = await createHost({
      privateKey: device.edSecret,
      listen: ['/ip4/127.0.0.1/tcp/0'],
      lan: false,
    })
    if ('code' in host) throw new Error(host.sentence)
    afterwards(() => host.stop())
    return host
  }

  /** Connected and taken for a member. */
  static async join(
    device: TestDevice,
    roster: Roster,
    relay: RelayProcess,
    known?: Host,
  ): Promise<MailClient> {
    const client = await MailClient.dial(device, relay, known)
    if (!client) throw new Error('the relay does not answer')
    await client.greet(roster)
    await client.until('notices')
    client.seen.length = 0
    return client
  }

  private async read(): Promise<void> {
    for await (const { bytes } of this.channel.messages) {
      this.seen.push(decodeMailFrame(bytes)!)
      this.changed()
    }
    this.isClosed = true
    this.changed()
  }

  say<Case extends MailFrameKind['$case']>(kind: Case, value: Value<Case>): boolean {
    return this.channel.send('live', encodeMailFrame({ $case: kind, value } as MailFrameKind))
  }

  /** The next message of a kind, taken off. Throws when the channel has ended or nothing comes. */
  async until<Case extends MailFrameKind['$case']>(
    kind: Case,
    fits: (value: Value<Case>) => boolean = () => true,
  ): Promise<Value<Case>> {
    const deadline = performance.now() + ANSWER_TIMEOUT_MS
    for (;;) {
      const at = this.seen.findIndex((frame) => frame.$case === kind && fits(frame.value as Value<Case>))
      if (at >= 0) return this.seen.splice(at, 1)[0]!.value as Value<Case>
      if (this.isClosed || performance.now() > deadline)
        throw new Error(
          `no ${kind} came, but ${JSON.stringify(this.seen)}${this.isClosed ? ', the end' : ''}`,
        )
      await Promise.race([
        new Promise<void>((resolve) => {
          this.changed = resolve
        }),
        sleep(1000, undefined, { ref: false }),
      ])
    }
  }

  async greet(roster: Roster): Promise<Value<'welcome'>> {
    const [oldest, newest] = [OLDEST_MAILBOX_VERSION, MAILBOX_VERSION]
    this.say('greet', { oldest, newest, practice: roster.practiceId, rosterHead: roster.head })
    const welcome = await this.until('welcome')
    if (welcome.rosterHead.length === 0) this.say('chain', { entries: [...roster.entries] })
    return welcome
  }

  /** The answer to a request with a number of its own. */
  async deposit(deposit: Omit<Value<'deposit'>, 'number' | 'replaces'> & { replaces?: Uint8Array[] }) {
    const number = ++this.number
    this.say('deposit', { number, replaces: [], ...deposit })
    return this.until('done', (done) => done.number === number)
  }

  async collect(after = 0): Promise<Value<'batch'>> {
    this.say('collect', { after })
    return this.until('batch')
  }

  async ack(ids: Uint8Array[], notice: Uint8Array = new Uint8Array(0)) {
    const number = ++this.number
    this.say('ack', { number, ids, notice })
    return this.until('done', (done) => done.number === number)
  }

  async inventory(): Promise<Value<'inventory'>> {
    const number = ++this.number
    this.say('ask', { number })
    return this.until('inventory', (answer) => answer.number === number)
  }

  async missing(recipient: Uint8Array, ids: Uint8Array[]): Promise<Uint8Array[]> {
    const number = ++this.number
    this.say('check', { number, recipient, ids })
    return (await this.until('missing', (answer) => answer.number === number)).ids
  }

  /** Ids of all mail that waits, portion by portion. */
  async collectAll(): Promise<{ ids: Uint8Array[]; last: number }> {
    const ids: Uint8Array[] = []
    for (let last = 0; ; ) {
      const { mails, end } = await this.collect(last)
      for (const { id, sequence } of mails) {
        if (sequence <= last) throw new Error('mail came out of order')
        ids.push(id)
        last = sequence
      }
      if (end) return { ids, last }
    }
  }

  async close(): Promise<void> {
    await this.host.stop()
  }

  /** Hangs up, and keeps the host for later. */
  async hangUp(): Promise<void> {
    await this.channel.close()
  }
}
