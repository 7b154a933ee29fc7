/** What a person does with the cloud mailbox: on, off, give up a relay, look at exactly what a relay holds, try an address. */
import { toHex } from '../../protocol/bytes.js'
import { isAddress } from '../../protocol/invitation.js'
import type { Inventory } from '../../protocol/mailbox.gen.js'
import { changeSettings } from '../../protocol/roster-write.js'
import { type DeviceApi, Refused } from '../api.js'
import type { MailboxReport } from '../contract.js'
import { publicKeyToPeerId } from '../peer-id.js'
import { collectsMail, MAX_RELAYS, relayAddresses } from './mail-roster.js'
import { idOf, MAILBOX_PROTOCOL, RELAY_SENTENCES } from './mailboxes.js'
import type { Practice } from './practice-state.js'
import { guarded } from './store-refusals.js'

/** A relay that doesn't answer within this is shown as not connected. */
const ASK_MS = 5_000
/** A relay gets so long to take up the conversation before an answer is given without it. */
const REACH_MS = 4_000
/** So long is waited until what is left at a relay is taken in, and it knows that nobody comes any more. */
const DEPART_MS = 20_000
const TEST_MS = 5_000

const done = { ok: true } as const

export function mailboxApi(practice: Practice): DeviceApi['mailbox'] {
  const { keeper, identity, notes } = practice.options
  const isOn = () => collectsMail(keeper, identity.ed)
  return {
    async on({ relays }) {
      practice.state()
      const wanted = relays.map((address) => address.trim()).filter((address) => address !== '')
      for (const address of wanted) if (!isRelayAddress(address)) throw badAddress(address)
      const before = relayAddresses(keeper)
      const all = [...new Set([...before, ...wanted])]
      if (all.length === 0) throw new Refused('no-relay', 'No relay is known yet. Give the address of one.')
      if (all.length > MAX_RELAYS)
        throw new Refused('too-many-relays', `A practice has at most ${MAX_RELAYS} relay addresses.`)
      if (isOn() && all.length === before.length) return done
      await change(practice, {
        ...(all.length === before.length ? {} : { relays: all }),
        collectsMail: { [toHex(identity.ed)]: true },
      })
      // Others learn by the relay that this device collects; without it they learn when they meet.
      await practice.mailboxes?.whenReady(REACH_MS)
      await notes.say('mailbox-on', 'The cloud mailbox is on here.')
      return done
    },
    async off() {
      practice.state()
      if (!isOn()) return done
      // A command alone has only just begun to dial, and is gone before it could say so later.
      await practice.mailboxes?.whenReady(REACH_MS)
      await change(practice, { collectsMail: { [toHex(identity.ed)]: false } })
      await practice.mailboxes?.whenTold(DEPART_MS)
      await notes.say('mailbox-off', 'The cloud mailbox is off here.')
      return done
    },
    async forget({ relay }) {
      practice.state()
      const address = relay.trim()
      const before = relayAddresses(keeper)
      const rest = before.filter((each) => each !== address)
      if (rest.length === before.length)
        throw new Refused('unknown-relay', `The practice has no relay at "${address}".`)
      if (rest.length === 0 && [identity.ed, ...keeper.others()].some((ed) => collectsMail(keeper, ed)))
        throw new Refused(
          'last-relay',
          'This is the only relay of the practice. Add another first, or switch the cloud mailbox off on all devices.',
        )
      await practice.mailboxes?.whenReady(REACH_MS, idOf(address))
      await change(practice, { relays: rest })
      // Others may hear of it nowhere else than at the relay that is given up.
      await practice.mailboxes?.whenTold(DEPART_MS)
      return done
    },
    show: () => report(practice),
    async test({ address }) {
      const wanted = address.trim()
      if (!isRelayAddress(wanted)) throw badAddress(wanted)
      const { host } = practice
      if (!host) throw new Refused('no-network', 'This command runs without a network.')
      const opened = await host.dial([wanted], MAILBOX_PROTOCOL, { timeoutMs: TEST_MS })
      if (!('code' in opened)) {
        void opened.channel.close()
        return { ok: true, sentence: 'The relay answers.' }
      }
      const code = opened.code === 'wrong-peer' ? 'relay-changed' : 'relay-unreachable'
      if (code === 'relay-changed') return { ok: false, sentence: RELAY_SENTENCES[code] }
      if (opened.code === 'no-such-protocol')
        return { ok: false, sentence: 'What answers at this address is no relay of Kartoteka.' }
      return { ok: false, sentence: "The relay can't be reached. Check its address and the connection." }
    },
  }
}

async function change(
  practice: Practice,
  settings: { relays?: string[]; collectsMail?: Record<string, boolean> },
): Promise<void> {
  const written = await guarded(() =>
    practice.options.keeper.write((context) => changeSettings(context, settings)),
  )
  if ('error' in written)
    throw new Refused('failed', `The setting could not be stored (${written.error}). Nothing was changed.`)
  practice.rosterChanged()
}

/** IP address or name, TCP, maybe WebSocket, and the relay's identity. */
function isRelayAddress(address: string): boolean {
  return (
    isAddress(address) &&
    /^\/(ip4|ip6|dns|dns4|dns6)\/[^/]+\/tcp\/\d{1,5}(\/(ws|wss|tls\/ws))?\/p2p\/[1-9A-HJ-NP-Za-km-z]+$/.test(
      address,
    )
  )
}

function badAddress(address: string): Refused {
  return new Refused(
    'bad-address',
    `"${address}" isn't the address of a relay. One looks like /dns4/relay.example.org/tcp/4001/p2p/12D3KooW…`,
  )
}

async function report(practice: Practice): Promise<MailboxReport> {
  const { keeper } = practice.options
  practice.state()
  const { mail, mailboxes } = practice
  await mailboxes?.whenReady(REACH_MS)
  const views = mailboxes?.views() ?? []
  const relays = await Promise.all(
    relayAddresses(keeper).map(async (address): Promise<MailboxReport['relays'][number]> => {
      const session = views.find((view) => view.address === address && view.connected)?.session
      const inventory = session && mail ? await within(mail.inventory(session), ASK_MS) : undefined
      return { ...heldBy(inventory, practice), address, connected: inventory !== undefined }
    }),
  )
  // One relay may be known by several addresses.
  const byId = new Map(relays.map((relay) => [idOf(relay.address), relay]))
  const pendingTotal = [...byId.values()].reduce(
    (sum, { pending }) => sum + pending.reduce((of, { count }) => of + count, 0),
    0,
  )
  return { relays, pendingTotal }
}

function heldBy(inventory: Inventory | undefined, practice: Practice) {
  const pending = (inventory?.waiting ?? []).map(({ recipient, count, bytes, oldest }) => ({
    recipient: publicKeyToPeerId(recipient),
    name: practice.options.keeper.nameOf(recipient),
    count,
    bytes,
    oldest,
  }))
  return { pending, safetyCopy: { count: 0, bytes: 0 }, record: null }
}

async function within<T>(answer: Promise<T>, ms: number): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), ms)
  })
  const first = await Promise.race([answer, late])
  clearTimeout(timer)
  return first
}
