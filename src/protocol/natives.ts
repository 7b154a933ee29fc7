/**
 * The seam to fast code: what a platform does better than portable JavaScript. All functions are
 * synchronous and pure. `portable.ts` is the reference; every implementation must agree with it on every
 * input, crafted ones included (test/protocol/natives.test.ts).
 */
export interface Natives {
  sha256(bytes: Uint8Array): Uint8Array

  /** Ed25519, RFC 8032; the secret key is the 32-byte seed. */
  sign(secretKey: Uint8Array, message: Uint8Array): Uint8Array

  /** Ed25519 by the one strict rule of `ed25519.ts`. Never throws, whatever the bytes. */
  verify(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean

  /** XChaCha20-Poly1305 with a 24-byte nonce: ciphertext ‖ tag, behind `room` zero bytes for the caller to fill. */
  seal(key: Uint8Array, nonce: Uint8Array, plaintext: Uint8Array, aad: Uint8Array, room?: number): Uint8Array

  /** undefined when the tag doesn't hold or anything has a wrong length. */
  open(key: Uint8Array, nonce: Uint8Array, sealed: Uint8Array, aad: Uint8Array): Uint8Array | undefined

  /** Raw deflate, RFC 1951. */
  deflate(bytes: Uint8Array): Uint8Array

  /** undefined when the input is broken, truncated, or would inflate beyond the limit. */
  inflate(bytes: Uint8Array, limitBytes: number): Uint8Array | undefined
}

/** Fresh random bytes. The core has no source of its own: a shell hands it a cryptographic one. */
export type Random = (lengthBytes: number) => Uint8Array
