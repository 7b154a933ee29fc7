/**
 * Secrets of the local link and how they are compared and shown.
 *
 * The page sends its token itself. The command line sends a keyed proof over a fresh nonce instead,
 * and the server proves the same back before anything is said: after a crash a stale link file may
 * name a port that another user's program has taken since, and that program must learn no PIN.
 */
import { createHash, createHmac, randomBytes, timingSafeEqual } from 'node:crypto'

/** The subprotocol that both sides negotiate; the other one offered carries the secret and is never echoed. */
export const LINK_PROTOCOL = 'kartoteka.1'
export const TOKEN_PREFIX = 'token.'
export const PROOF_PREFIX = 'proof.'
/** The response header with the server's own proof. */
export const PROOF_HEADER = 'x-kartoteka-proof'
export const LINK_PATH = '/link'
/** POST `{code}` → `{token}`. */
export const TOKEN_PATH = '/token'

const SECRET_BYTES = 32

export function createSecret(): string {
  return randomBytes(SECRET_BYTES).toString('base64url')
}

/** Takes the same time wherever the two differ; hashing first makes the lengths equal. */
export function equalSecrets(a: string, b: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest()
  return timingSafeEqual(digest(a), digest(b))
}

export function linkProof(token: string, side: 'client' | 'server', nonce: string): string {
  return createHmac('sha256', token).update(`kartoteka link ${side} ${nonce}`).digest('base64url')
}

/** The subprotocol by which the command line introduces itself. */
export function proofProtocol(token: string, nonce: string): string {
  return `${PROOF_PREFIX}${nonce}.${linkProof(token, 'client', nonce)}`
}

/** The nonce of a valid introduction, else null. */
export function checkProofProtocol(token: string, protocol: string): string | null {
  const [nonce, proof, ...rest] = protocol.slice(PROOF_PREFIX.length).split('.')
  if (!nonce || !proof || rest.length > 0) return null
  return equalSecrets(proof, linkProof(token, 'client', nonce)) ? nonce : null
}
