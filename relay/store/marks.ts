/**
 * The relay's incarnation: random bytes in a file beside the database. Each start writes a fresh mark into that
 * file and into the database, and the database remembers which very file it was. Where they don't belong
 * together (one of them was restored from a copy, or lost) the incarnation is made anew, and senders offer again
 * what they had left here.
 */
import { equalBytes, fromUtf8, Reader, utf8, Writer } from '../../src/protocol/bytes.js'
import { INCARNATION_BYTES } from '../../src/protocol/mailbox-limits.js'
import type { Natives } from '../../src/protocol/natives.js'
import { type Database, VIEW } from './database.js'
import { keys } from './keys.js'
import { checked, withChecksum } from './rows.js'

const MARK_BYTES = 16
const MAX_STAMP_BYTES = 200

/** The file beside the database. A stamp tells this file from a copy of it. */
export interface MarkFile {
  /** undefined where there is none, or none that can be read. */
  read(): Promise<Uint8Array | undefined>
  /** Whole or not at all, and durable. */
  write(bytes: Uint8Array): Promise<void>
  /** Changes whenever the file is written, by whomever. */
  stamp(): Promise<string>
}

export interface MarkOptions {
  db: Database
  natives: Natives
  marks: MarkFile
  random: (length: number) => Uint8Array
}

/** To be called once when the store is opened. `isNew`: what was acknowledged earlier may be missing. */
export async function settleIncarnation(
  options: MarkOptions,
): Promise<{ incarnation: Uint8Array; isNew: boolean }> {
  const { db, natives, marks, random } = options
  const held = await readPair(options)
  const incarnation = held ?? random(INCARNATION_BYTES)
  const mark = random(MARK_BYTES)
  // A crash between these two costs a new incarnation, and nothing else.
  await marks.write(new Writer().fixed(incarnation).fixed(mark).finish())
  const value = new Writer()
    .fixed(mark)
    .short(utf8(await marks.stamp()))
    .finish()
  const key = keys.mark()
  await db.batch([{ type: 'put', key, value: withChecksum(natives, key, value) }], {
    ...VIEW,
    sync: true,
  } as object)
  return { incarnation, isNew: held === undefined }
}

/** The incarnation, if file and database belong together. */
async function readPair({ db, natives, marks }: MarkOptions): Promise<Uint8Array | undefined> {
  const file = await marks.read()
  const stored = (await db.get(keys.mark(), VIEW)) as Uint8Array | undefined
  const value = stored && checked(natives, keys.mark(), stored)
  if (!file || !value) return undefined
  const [inFile, inDb] = [new Reader(file), new Reader(value)]
  const incarnation = inFile.fixed(INCARNATION_BYTES)
  const isSame = equalBytes(inFile.fixed(MARK_BYTES), inDb.fixed(MARK_BYTES))
  const stamp = fromUtf8(inDb.short(MAX_STAMP_BYTES))
  if (!inFile.complete() || !inDb.complete() || !isSame) return undefined
  return stamp === (await marks.stamp()) ? incarnation : undefined
}
