/** Prove identical: fingerprints of content as it truly is, here and on every device that answers. */
import { toHex } from '../../protocol/bytes.js'
import { FINGERPRINT_BYTES, fingerprints, PAIR_BYTES } from '../../store/fingerprints.js'
import type { VerifyReport } from '../contract.js'
import { publicKeyToPeerId } from '../peer-id.js'
import type { Practice } from './practice-state.js'

/** A device that doesn't answer within this counts as not reached. */
const ANSWER_MS = 120_000
/** The fingerprint of a case that can't be read: nothing proves it identical to another such. */
const UNREADABLE = '00'.repeat(FINGERPRINT_BYTES)
/** A device that is being dialled gets this long. */
const REACH_MS = 5_000

export async function verifyDevices(practice: Practice): Promise<VerifyReport> {
  const replica = practice.replica()
  const { keeper } = practice.options
  await replica.docs.settle()
  await reachAll(practice)
  const own = new Map<string, { caseId: string; fingerprint: string }>()
  for await (const { key, caseId, fingerprint } of fingerprints(replica)) {
    own.set(toHex(key), { caseId, fingerprint: toHex(fingerprint) })
  }
  // One whose row can't be read stands nowhere else, and may be unreadable on the other device, too.
  for (const hex of replica.damaged.keys())
    if (!own.has(hex)) own.set(hex, { caseId: hex, fingerprint: UNREADABLE })
  const devices = await Promise.all(
    keeper.others().map(async (device) => {
      const id = publicKeyToPeerId(device)
      const session = practice.peers?.sessionOf(toHex(device))
      const pairs = session && practice.driver && (await within(practice.driver.fingerprints(session)))
      if (!pairs) return { id, reached: false, differs: [] }
      return { id, reached: true, differs: compare(own, pairs) }
    }),
  )
  const identical = devices.every(({ reached, differs }) => reached && differs.length === 0)
  return { identical, devices }
}

async function reachAll(practice: Practice): Promise<void> {
  await practice.online
  practice.peers?.dialAll()
  const until = performance.now() + REACH_MS
  const missing = () =>
    practice.options.keeper.others().some((device) => !practice.peers?.sessionOf(toHex(device)))
  while (practice.peers && missing() && performance.now() < until)
    await new Promise((resolve) => setTimeout(resolve, 50))
}

/** Ids of the cases that differ; a case that only the other device has is named by its key. */
function compare(
  own: Map<string, { caseId: string; fingerprint: string }>,
  messages: Uint8Array[],
): string[] {
  const differs: string[] = []
  const seen = new Set<string>()
  for (const pairs of messages) {
    for (let at = 0; at + PAIR_BYTES <= pairs.length; at += PAIR_BYTES) {
      const key = toHex(pairs.subarray(at, at + PAIR_BYTES - FINGERPRINT_BYTES))
      const fingerprint = toHex(pairs.subarray(at + PAIR_BYTES - FINGERPRINT_BYTES, at + PAIR_BYTES))
      seen.add(key)
      const mine = own.get(key)
      if (mine?.fingerprint !== fingerprint || fingerprint === UNREADABLE) differs.push(mine?.caseId ?? key)
    }
  }
  for (const [key, { caseId }] of own) if (!seen.has(key)) differs.push(caseId)
  return differs.sort()
}

async function within<T>(promise: Promise<T>): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), ANSWER_MS)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}
