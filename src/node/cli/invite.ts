/**
 * `device invite`: opens the window for one more device. The running device keeps it open by itself;
 * without one this command stays until the window is used or has expired, and asks who may join.
 */
import { createReadStream } from 'node:fs'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { Refused } from '../api.js'
import type { InviteState } from '../contract.js'
import type { Client } from '../router.js'
import type { Call } from './call.js'
import { type Reached, withDevice } from './connect.js'
import { readSecret } from './input.js'
import { moment, printable } from './text.js'

type InviteOptions = { pinFile: string; minutes: number; yes?: boolean }

const POLL_MS = 150
/** A device that has just joined takes its first cases from this one, if it stays that long. */
const FIRST_SYNC_SECONDS = 5

export async function invite(call: Call, options: InviteOptions): Promise<void> {
  const pin = await readSecret(options.pinFile, call.around.stdin)
  await withDevice(call, { network: true }, async (reached) => {
    const { client } = reached
    const { minutes, yes = false } = options
    const opened = await client.device.invite({ pin, minutes, yes })
    await call.print(
      opened,
      [
        `Practice code: ${opened.code}`,
        `Invitation:    ${opened.invitation}`,
        `Open until ${moment(opened.expiresAt)}. On the new device: kartoteka practice join`,
      ].join('\n'),
    )
    if (!reached.running) await attend(call, reached, options)
  })
}

/** Keeps the window open, and asks about whoever proves the PIN. */
async function attend(call: Call, { client, signal }: Reached, options: InviteOptions): Promise<void> {
  const answers = createAnswers(options.pinFile === '-' ? terminal() : call.around.stdin)
  const ask = async (name: string) => client.device.answer({ add: await isAdded(call, name, answers) })
  let asked: string | null = null
  let failed: unknown = null
  for (;;) {
    const state = await client.device.inviteState()
    if (!state.open) return finish(call, client, state)
    if (failed) throw failed
    const { asking } = state
    if (asking && !options.yes && asking.id !== asked) {
      // Not awaited: the window may close while nobody answers.
      ask(asking.name).catch((error: unknown) => {
        failed = error
      })
    }
    asked = asking?.id ?? null
    await sleep(POLL_MS, undefined, { signal })
  }
}

async function finish(call: Call, client: Client, state: InviteState): Promise<void> {
  if (state.closed !== 'used') throw closedRefusal(state)
  for (const { name } of state.added) call.note(`${printable(name)} is added.`)
  await client.wait({ for: 'synced', timeoutSeconds: FIRST_SYNC_SECONDS })
}

function closedRefusal(state: InviteState): Refused {
  if (state.closed === 'tries') return new Refused('tries', 'The window closed after too many wrong PINs.')
  if (state.closed === 'expired') return new Refused('expired', 'The time is over and nobody joined.')
  return new Refused('cancelled', 'The window was closed before anybody joined.')
}

async function isAdded(call: Call, name: string, answers: Answers): Promise<boolean> {
  for (;;) {
    call.around.err(`${printable(name)} wants to join: Add / Not mine? `)
    const answer = await answers()
    // Nobody is there to say yes.
    if (answer === null || /^(n|no|not mine)$/i.test(answer.trim())) return false
    if (/^(a|add|y|yes)$/i.test(answer.trim())) return true
  }
}

/** The next line that somebody types, or null at the end of the input. */
type Answers = () => Promise<string | null>

/** Reads nothing before it is asked. */
function createAnswers(input: Readable): Answers {
  let lines: AsyncIterator<string> | undefined
  return async () => {
    lines ??= createInterface({ input: input.on('error', () => {}) })[Symbol.asyncIterator]()
    const next = await lines.next().catch(() => null)
    return next === null || next.done ? null : next.value
  }
}

/** The PIN came from standard input: the person is elsewhere. */
function terminal(): Readable {
  return createReadStream(process.platform === 'win32' ? '\\\\.\\CONIN$' : '/dev/tty')
}
