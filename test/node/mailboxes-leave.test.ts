/**
 * A relay that was given up, and takes the conversation, and doesn't answer when it is told so. The shipping mailboxes,
 * mail driver and notes of a device, and the shipping relay, in virtual time; only the network between them is the test's.
 */
import { afterEach, expect, it } from 'vitest'
import { LEAVE_MS, LEAVE_RETRY_MS, Mailboxes } from '../../src/node/device/mailboxes.js'
import { Notes } from '../../src/node/device/notes.js'
import { statusApi } from '../../src/node/device/status.js'
import { publicKeyToPeerId } from '../../src/node/peer-id.js'
import { toHex } from '../../src/protocol/bytes.js'
import { decodeMailFrame } from '../../src/protocol/mailbox-wire.js'
import { type MailDevice, MailWorld, type SimRelay } from '../support/mail-world.js'

const HOUR_MS = 60 * 60_000
const FIRST_REST_MS = 500
/** The clock moves on so far at a time: what is measured is that much too long at the most. */
const STEP_MS = 500

/** One stream to the relay: what the device said in it, and when it stood. */
interface Conversation {
  from: number
  to: number | undefined
  said: string[]
}

type Kind = 'ask' | 'leave'

class GivenUp {
  readonly world = new MailWorld(61)
  readonly conversations: Conversation[] = []
  readonly settings = new Map<string, unknown>()
  /** What the relay takes, and does nothing about. */
  passedOver: Kind | undefined
  device!: MailDevice
  relay!: SimRelay
  mailboxes!: Mailboxes
  private targets: { addresses: string[] }[] = []

  /** It has collected there, and now the person takes it off the practice's relays. */
  static async begin(passedOver: Kind): Promise<GivenUp> {
    const given = new GivenUp()
    const { world, settings } = given
    given.device = await world.add('desk')
    given.relay = await world.addRelay()
    settings.set('relays', [given.address])
    settings.set('collectsMail', { [toHex(given.device.ed)]: true })
    await given.start()
    await given.pass(5_000)
    expect(given.mailboxes.ready()).toHaveLength(1)
    given.passedOver = passedOver
    given.conversations.length = 0
    settings.set('relays', [])
    given.mailboxes.apply()
    await given.pass(1_000)
    return given
  }

  get address(): string {
    return `/ip4/192.0.2.1/tcp/4001/p2p/${publicKeyToPeerId(this.relay.ed)}`
  }

  private get keeper() {
    const { settings } = this
    return { current: { opened: { settings } }, isMember: () => true, others: () => [] }
  }

  /** What a start does for the mailbox, with the notes that are on the disk. */
  async start(): Promise<void> {
    const { world, device, keeper } = this
    const notes = new Notes(device.replica.db, () => world.clock.now)
    await notes.load()
    this.targets = []
    this.mailboxes = new Mailboxes({
      host: this.network(),
      mail: device.mail,
      keeper,
      notes,
      timers: world.clock,
      ed: device.ed,
      meetingRelays: () => [],
      status: () => {},
    } as never)
    await this.mailboxes.start()
  }

  /** Power goes and comes back: of the disk only what was flushed is left. */
  async powerCut(): Promise<void> {
    const { device, mailboxes } = this
    mailboxes.stop()
    await device.mail.stop()
    await device.driver.stop()
    await device.disk.crash(0)
    await device.boot()
    this.conversations.length = 0
    await this.start()
  }

  private network() {
    const id = publicKeyToPeerId(this.relay.ed)
    return {
      setRelays: (targets: { addresses: string[] }[]) => {
        this.targets = targets
      },
      relays: () =>
        this.targets.map(({ addresses }) => ({ id, addresses, state: 'connected', circuit: false })),
      retryRelays: () => {},
      onRelayChanged: () => () => {},
      dial: async () => ({ channel: this.dial() }),
    }
  }

  private dial() {
    const { world, relay, device } = this
    const conversation: Conversation = { from: world.clock.now, to: undefined, said: [] }
    this.conversations.push(conversation)
    const queue: Uint8Array[] = []
    let wake = () => {}
    const close = () => {
      conversation.to ??= world.clock.now
      connection.closed()
      wake()
    }
    const send = (_lane: string, bytes: Uint8Array) => {
      queue.push(bytes)
      wake()
    }
    const connection = relay.core.connect({ publicKey: device.ed, address: '192.0.2.7' }, { send, close })
    // What has arrived is there at once: the last answer, and that the relay has closed behind it.
    const next = async (): Promise<IteratorResult<{ bytes: Uint8Array }>> => {
      while (queue.length === 0 && conversation.to === undefined)
        await new Promise<void>((resolve) => {
          wake = resolve
        })
      const bytes = queue.shift()
      return bytes ? { value: { bytes }, done: false } : { value: undefined, done: true }
    }
    return {
      messages: { [Symbol.asyncIterator]: () => ({ next }) },
      close,
      send: (_lane: string, bytes: Uint8Array) => {
        const kind = decodeMailFrame(bytes)!.$case
        conversation.said.push(kind)
        if (kind !== this.passedOver) void connection.receive(bytes)
      },
    }
  }

  async pass(ms: number): Promise<void> {
    const { clock } = this.world
    for (const until = clock.now + ms; clock.now < until; ) {
      clock.pass(Math.min(STEP_MS, until - clock.now))
      this.relay.core.tick()
      for (let turn = 0; turn < 4; turn++) await this.world.settle()
      await new Promise((resolve) => setImmediate(resolve))
    }
  }

  /** Those that were to tell it. */
  get goodbyes(): Conversation[] {
    return this.conversations.filter(({ said }) => said.includes('ask'))
  }

  /** What the relay has of any practice. */
  get practicesThere(): number {
    return [...this.relay.disk.durableRows.keys()].filter((key) => key.startsWith('p')).length
  }

  get isVisited(): boolean {
    return this.targets.length > 0
  }
}

let given: GivenUp
afterEach(async () => {
  given.mailboxes.stop()
  await given.world.stop()
})

it.each<Kind>(['ask', 'leave'])(
  'without an answer to %s the conversation ends, and is taken up again after rests that grow up to a bound',
  async (kind) => {
    given = await GivenUp.begin(kind)
    await given.pass(2 * HOUR_MS)
    const ended = given.goodbyes.filter(({ to }) => to !== undefined)
    for (const { from, to } of ended) expect(to! - from).toBeLessThanOrEqual(LEAVE_MS + STEP_MS)
    for (const { from, to } of ended) expect(to! - from).toBeGreaterThanOrEqual(LEAVE_MS)
    const rests = ended.slice(0, -1).map(({ to }) => {
      return given.conversations.find(({ from }) => from >= to!)!.from - to!
    })
    const meant = rests.map((_, at) => Math.min(FIRST_REST_MS * 2 ** at, LEAVE_RETRY_MS))
    expect(meant.filter((ms) => ms === LEAVE_RETRY_MS).length).toBeGreaterThan(3)
    for (const [at, ms] of meant.entries()) {
      expect(rests[at]).toBeGreaterThanOrEqual(ms * 0.75 - STEP_MS)
      expect(rests[at]).toBeLessThanOrEqual(ms * 1.25 + STEP_MS)
    }
    // It answers again: by the next time it knows.
    given.passedOver = undefined
    await given.pass(LEAVE_RETRY_MS * 1.3 + LEAVE_MS)
    expect({ practices: given.practicesThere, isVisited: given.isVisited }).toEqual({
      practices: 0,
      isVisited: false,
    })
    given.conversations.length = 0
    await given.pass(HOUR_MS)
    expect(given.conversations).toEqual([])
  },
)

it('neither a sync nor a stop waits for it', async () => {
  given = await GivenUp.begin('leave')
  const { device, mailboxes } = given
  expect(given.goodbyes).toMatchObject([{ to: undefined }])
  const practice = {
    driver: device.driver,
    peers: { forgive() {}, dialAll() {} },
    mail: device.mail,
    mailboxes,
    hasPractice: true,
    replica: () => device.replica,
    options: { keeper: { current: undefined, others: () => [] }, identity: { ed: device.ed } },
  }
  const ended: string[] = []
  const end = (name: string) => () => void ended.push(name)
  void statusApi(practice as never, '', '')
    .sync()
    .then(end('sync'))
  void device.mail.whenDelivered(LEAVE_MS).then(end('delivered'))
  void mailboxes.whenReady(LEAVE_MS).then(end('ready'))
  await given.world.settle()
  expect(ended.sort()).toEqual(['delivered', 'ready', 'sync'])
  expect(device.mail.isBusy).toBe(false)
  expect(mailboxes.ready()).toEqual([])
  expect(given.goodbyes).toMatchObject([{ to: undefined }])

  mailboxes.stop()
  void device.mail.stop().then(end('stopped'))
  await given.world.settle()
  expect(ended).toContain('stopped')
  expect(given.goodbyes).toMatchObject([{ to: expect.any(Number) }])
  await given.pass(2 * LEAVE_RETRY_MS)
  expect(given.conversations).toHaveLength(2)
})

it('that it is to be told outlives a power cut, and so does that it knows', async () => {
  given = await GivenUp.begin('leave')
  expect(given.goodbyes).toMatchObject([{ to: undefined }])
  await given.powerCut()
  expect(given.isVisited).toBe(true)
  await given.pass(LEAVE_MS / 2)
  expect(given.goodbyes).toMatchObject([{ to: undefined }])
  given.passedOver = undefined
  await given.powerCut()
  while (given.isVisited) await given.pass(STEP_MS)
  await given.powerCut()
  expect(given.isVisited).toBe(false)
  await given.pass(HOUR_MS)
  expect(given.conversations).toEqual([])
  expect(given.practicesThere).toBe(0)
})
