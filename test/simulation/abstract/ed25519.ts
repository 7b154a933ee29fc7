/** Stands for src/protocol/ed25519.ts in the abstract simulator. */
import { publicKeyOf } from './natives.js'

export const ED_KEY_BYTES = 32
export const ED_SIGNATURE_BYTES = 64

export const followsRule = () => true
export const isEnrollableKey = (publicKey: Uint8Array) => publicKey.length === ED_KEY_BYTES
export const edPublicKey = publicKeyOf
