/**
 * Messages → bytes by the generated codec, with one writer for all of them: a new one for each would make room for its
 * bytes anew, and again whenever they are more than it has, which for short messages takes longer than writing them.
 */
import { BinaryWriter } from '@bufbuild/protobuf/wire'

/** Room for something large is not kept for the next. */
const MOST_KEPT_BYTES = 64 * 1024

interface Codec<T> {
  encode(message: T, writer: BinaryWriter): BinaryWriter
}

let writer = new BinaryWriter()

/** The message's bytes, a copy of their own. Throws where a value doesn't fit its field: writing is our own doing. */
export function encoded<T>(codec: Codec<T>, message: T): Uint8Array {
  let bytes: Uint8Array | undefined
  try {
    bytes = codec.encode(message, writer).finish()
    return bytes
  } finally {
    // One that was broken off holds what was written of its message.
    if (!bytes || bytes.length > MOST_KEPT_BYTES) writer = new BinaryWriter()
  }
}
