/** The cloud mailbox of the fake device, and its files: what the window asks is noted in `called`. */
import type { DeviceApi } from '../../src/node/api.js'
import { Refused } from '../../src/node/api.js'
import type { CarryReport, MailboxReport, Status } from '../../src/node/contract.js'

export const relayAddress =
  '/dns4/relay.example.org/tcp/4001/p2p/12D3KooWQYhTNQdmr3ArTeUHRYzFg94BKyTkoWBDWez9kSCVe2Xo'

const unreachable = 'The cloud mailbox can’t be reached. Everything is saved here and will be sent by itself.'
/** How a file of the fake device begins. */
const fileMark = 'kartoteka carries '

export class FakeMailbox {
  state: Status['state'] = 'off'
  relays: Status['mailbox']['relays'] = []
  pendingOut = 0
  pendingIn = 0
  held: MailboxReport = { relays: [], pendingTotal: 0 }
  /** What `carry.out` hands over, and what `carry.in` answers for such a file. */
  carried = [fileMark, 'twelve changes']
  lacks: string[] = []
  carryReport: CarryReport = { envelopes: 3, taken: 2, received: 12 }
  /** Thrown by the next switching on. */
  refuseOn: Refused | null = null
  readonly #called: (call: string) => void
  readonly #incoming = new Map<string, Buffer[]>()

  constructor(called: (call: string) => void) {
    this.#called = called
  }

  status(): Status['mailbox'] {
    const { relays, pendingOut, pendingIn } = this
    const configured = this.state !== 'off'
    return { configured, connected: this.state === 'connected', relays, pendingOut, pendingIn }
  }

  readonly mailbox: DeviceApi['mailbox'] = {
    on: async ({ relays }) => {
      if (this.refuseOn) throw this.refuseOn
      for (const address of relays)
        if (!this.relays.some((relay) => relay.address === address))
          this.relays.push({ address, connected: true, sentence: null })
      this.state = 'connected'
      this.#called(`mailbox on ${relays.join(' ')}`.trim())
      return { ok: true }
    },
    off: async () => {
      this.state = 'off'
      this.#called('mailbox off')
      return { ok: true }
    },
    forget: async ({ relay }) => {
      if (this.relays.length === 1) throw new Refused('last-relay', 'This is the only relay of the practice.')
      this.relays = this.relays.filter(({ address }) => address !== relay)
      this.#called(`mailbox forget ${relay}`)
      return { ok: true }
    },
    show: async () => this.held,
    test: async ({ address }) => {
      if (!address.startsWith('/')) return { ok: false, sentence: 'That is not an address of a relay.' }
      if (address.includes('other'))
        return {
          ok: false,
          sentence: 'A different relay answers at this address. Nothing was sent. Ask its operator.',
        }
      return address.includes('away')
        ? { ok: false, sentence: unreachable }
        : { ok: true, sentence: 'The relay answers.' }
    },
  }

  readonly carry: DeviceApi['carry'] = {
    out: async function* (this: FakeMailbox) {
      for (const part of this.carried) yield { data: Buffer.from(part).toString('base64') }
      yield { data: '', lacks: this.lacks }
    }.bind(this),
    in: async ({ file, data, last }) => {
      const parts = [...(this.#incoming.get(file) ?? []), Buffer.from(data, 'base64')]
      this.#incoming.set(file, parts)
      if (!last) return { envelopes: 0, taken: 0, received: 0 }
      this.#incoming.delete(file)
      const whole = Buffer.concat(parts)
      this.#called(`carry in ${whole.length} bytes in ${parts.length}`)
      if (!whole.toString().startsWith(fileMark))
        throw new Refused('not-a-carry-file', 'That is not a file of changes. Nothing was changed.')
      if (whole.toString().endsWith('cut off'))
        throw new Refused('carry-damaged', 'The file is cut off. What could be read is taken in.')
      return this.carryReport
    },
  }
}
