/** A new device asks relays which devices of a practice wait for one: found by the practice code, reached by circuit. */
import { setTimeout as delay } from 'node:timers/promises'
import { decodeMeetFrame, encodeMeetFrame } from '../../protocol/mailbox-wire.js'
import { Refused } from '../api.js'
import type { Host } from '../host.js'
import { publicKeyToPeerId } from '../peer-id.js'
import { idOf, RELAY_SENTENCES } from './mailboxes.js'

export const MEET_PROTOCOL = '/kartoteka/meet/1'

const MEET_MS = 4_000
/** The relay has just answered: what is still under way takes no longer. */
const CONNECT_MS = 2_000
const AGAIN_MS = 1_000
/** The code without its check characters. */
const CODE_CHARACTERS = 16
const MAX_FOUND = 64

/**
 * Peer ids of devices with an open window, as these relays tell them.
 *
 * @param isOptional other addresses are known too, so a relay that fails is no reason to give up.
 */
export async function meetAt(
  host: Host,
  relays: string[],
  code: string | undefined,
  isOptional: boolean,
  signal: AbortSignal,
): Promise<string[]> {
  if (code === undefined) {
    if (isOptional) return []
    throw new Refused(
      'code-needed',
      'To meet at a relay, the practice code is needed. The other device shows it.',
    )
  }
  for (const relay of relays) {
    if (idOf(relay) === '')
      throw new Refused(
        'bad-address',
        `"${relay}" isn't the address of a relay. It ends with /p2p/ and the relay's identity.`,
      )
  }
  const first = await askAll(host, relays, code, signal)
  // A window that was opened just now may be on its way to the relay.
  const isEarly = first.found.length === 0 && !first.failed && !isOptional
  if (isEarly) await delay(AGAIN_MS, undefined, { signal }).catch(() => {})
  const { found, failed } = isEarly && !signal.aborted ? await askAll(host, relays, code, signal) : first
  if (found.length === 0 && failed && !isOptional) throw failed
  return [...new Set(found)]
}

async function askAll(host: Host, relays: string[], code: string, signal: AbortSignal) {
  const answers = await Promise.all(relays.map((relay) => ask(host, relay, code, signal)))
  const failed = answers.find((answer): answer is Refused => answer instanceof Refused)
  return { failed, found: answers.flatMap((answer) => (answer instanceof Refused ? [] : answer)) }
}

/** A relay is connected, so that circuits can be opened; or one can't be reached in that time. */
export async function whenRelayed(host: Host, signal: AbortSignal): Promise<void> {
  const isConnected = () => host.relays().some(({ state }) => state === 'connected')
  if (isConnected()) return
  await new Promise<void>((resolve) => {
    const end = () => {
      off()
      clearTimeout(timer)
      resolve()
    }
    const off = host.onRelayChanged(() => {
      if (isConnected()) end()
    })
    const timer = setTimeout(end, CONNECT_MS)
    signal.addEventListener('abort', end, { once: true })
  })
}

async function ask(
  host: Host,
  relay: string,
  code: string,
  signal: AbortSignal,
): Promise<string[] | Refused> {
  const opened = await host.dial([relay], MEET_PROTOCOL, { timeoutMs: MEET_MS, signal })
  if ('code' in opened) {
    if (opened.code === 'wrong-peer') return new Refused('relay-changed', RELAY_SENTENCES['relay-changed'])
    if (opened.code === 'bad-address')
      return new Refused('bad-address', `"${relay}" isn't the address of a relay.`)
    return new Refused(
      'relay-unreachable',
      "The relay can't be reached. Check its address and the connection.",
    )
  }
  const { channel } = opened
  const timer = setTimeout(() => channel.abort(new Error('The relay took too long to answer.')), MEET_MS)
  try {
    channel.send(
      'live',
      encodeMeetFrame({ $case: 'find', value: { code: code.replaceAll('-', '').slice(0, CODE_CHARACTERS) } }),
    )
    for await (const { bytes } of channel.messages) {
      const frame = decodeMeetFrame(bytes)
      if (frame?.$case !== 'found') break
      const devices = frame.value.devices.filter((device) => device.length === 32).slice(0, MAX_FOUND)
      return devices.map(publicKeyToPeerId)
    }
    return new Refused('relay-unreachable', 'What answers at this address is no relay of Kartoteka.')
  } finally {
    clearTimeout(timer)
    void channel.close()
  }
}
