/**
 * Whether the files of LevelDB are as they were written. LevelDB itself passes over what has rotted in its log, and
 * checks no table that it reads; so its own checksums are looked at here. Formats: doc/log_format.md and
 * doc/table_format.md of LevelDB.
 */
import { createReadStream, readdirSync } from 'node:fs'
import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'

const EMPTY = Buffer.alloc(0)
const LOG_BLOCK_BYTES = 32 * 1024
const RECORD_HEADER_BYTES = 7
const FOOTER_BYTES = 48
const HANDLES_BYTES = 40
const MAGIC = Buffer.from('57fb808b247547db', 'hex')
/** Behind each block of a table: how it is compressed (never, here) and its checksum. */
const TRAILER_BYTES = 5
const MASK_DELTA = 0xa282ead8
/** CRC-32C (Castagnoli), reflected. */
const POLYNOMIAL = 0x82f63b78

/** Eight tables: eight bytes a step. */
const TABLES = crcTables()

function crcTables(): Int32Array[] {
  const tables = Array.from({ length: 8 }, () => new Int32Array(256))
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ POLYNOMIAL : crc >>> 1
    tables[0]![byte] = crc
  }
  for (let step = 1; step < 8; step++) {
    for (let byte = 0; byte < 256; byte++) {
      const before = tables[step - 1]![byte]!
      tables[step]![byte] = (before >>> 8) ^ tables[0]![before & 255]!
    }
  }
  return tables
}

/** CRC-32C of bytes[from..to). */
export function crc32c(bytes: Uint8Array, from = 0, to = bytes.length): number {
  const [t0, t1, t2, t3, t4, t5, t6, t7] = TABLES as [
    Int32Array,
    Int32Array,
    Int32Array,
    Int32Array,
    Int32Array,
    Int32Array,
    Int32Array,
    Int32Array,
  ]
  let crc = ~0
  let at = from
  for (; at + 8 <= to; at += 8) {
    crc ^= bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)
    crc =
      t7[crc & 255]! ^
      t6[(crc >>> 8) & 255]! ^
      t5[(crc >>> 16) & 255]! ^
      t4[crc >>> 24]! ^
      t3[bytes[at + 4]!]! ^
      t2[bytes[at + 5]!]! ^
      t1[bytes[at + 6]!]! ^
      t0[bytes[at + 7]!]!
  }
  for (; at < to; at++) crc = (crc >>> 8) ^ t0[(crc ^ bytes[at]!) & 255]!
  return ~crc >>> 0
}

/** As LevelDB stores it: a checksum of data with checksums in it would be weak. */
const masked = (crc: number) => (((crc >>> 15) | (crc << 17)) + MASK_DELTA) >>> 0

const TABLE = /^\d+\.(ldb|sst)$/

const hasEnd = (file: Buffer) => file.subarray(-MAGIC.length).equals(MAGIC)

/** Every byte of a table is under a checksum, or is what it must be. */
export function isTableSound(file: Buffer): boolean {
  const footer = file.length - FOOTER_BYTES
  if (footer < 0 || !hasEnd(file)) return false
  const reader = new Reader(file, footer, footer + HANDLES_BYTES)
  const metaindex = reader.handle()
  const index = reader.handle()
  if (!metaindex || !index || file.subarray(reader.at, footer + HANDLES_BYTES).some((byte) => byte !== 0))
    return false
  const handles = [...(handlesIn(file, index) ?? [undefined]), ...(handlesIn(file, metaindex) ?? [undefined])]
  let at = 0
  // All blocks lie one after the other: data, filter, metaindex, index.
  for (const handle of [...handles, metaindex, index]) {
    if (!handle || handle.offset !== at || !isBlockSound(file, handle)) return false
    at = handle.offset + handle.size + TRAILER_BYTES
  }
  return at === footer
}

interface Handle {
  offset: number
  size: number
}

function isBlockSound(file: Buffer, { offset, size }: Handle): boolean {
  const end = offset + size + 1
  if (end + 4 > file.length) return false
  return masked(crc32c(file, offset, end)) === file.readUInt32LE(end)
}

/** The handles that an index block consists of; undefined if it makes no sense. */
function handlesIn(file: Buffer, block: Handle): Handle[] | undefined {
  if (!isBlockSound(file, block) || block.size < 4) return undefined
  const end = block.offset + block.size
  const restarts = file.readUInt32LE(end - 4)
  const reader = new Reader(file, block.offset, end - 4 - 4 * restarts)
  const handles: Handle[] = []
  while (!reader.isAtEnd) {
    const [, rest, length] = [reader.number(), reader.number(), reader.number()]
    reader.at += rest ?? 0
    const next = reader.at + (length ?? 0)
    const handle = reader.handle()
    if (!handle || reader.at !== next) return undefined
    handles.push(handle)
  }
  return handles
}

/** Numbers of 7 bits a byte. */
class Reader {
  constructor(
    private readonly file: Buffer,
    public at: number,
    private readonly end: number,
  ) {}

  get isAtEnd(): boolean {
    return this.at >= this.end
  }

  number(): number | undefined {
    let value = 0
    for (let factor = 1; this.at < this.end && factor < 2 ** 50; factor *= 128) {
      const byte = this.file[this.at++]!
      value += (byte & 127) * factor
      // A last byte of zero says nothing: nobody writes it.
      if (byte < 128) return byte === 0 && factor > 1 ? undefined : value
    }
    return undefined
  }

  handle(): Handle | undefined {
    const offset = this.number()
    const size = this.number()
    return offset === undefined || size === undefined ? undefined : { offset, size }
  }
}

/**
 * What LevelDB would read of a log: `whole`; `torn`, where everything behind a point is missing, as after a power cut;
 * or with a `hole`, where it would pass over something and read on behind it.
 */
export function judgeLog(file: Buffer): 'whole' | 'torn' | 'hole' {
  let isBroken = false
  let isInside = false
  for (let start = 0; start < file.length; start += LOG_BLOCK_BYTES) {
    const end = Math.min(start + LOG_BLOCK_BYTES, file.length)
    let at = start
    for (; at + RECORD_HEADER_BYTES <= end; ) {
      const type = file[at + 6]!
      const next = at + RECORD_HEADER_BYTES + file.readUInt16LE(at + 4)
      const isSound =
        type >= 1 && type <= 4 && next <= end && masked(crc32c(file, at + 6, next)) === file.readUInt32LE(at)
      // 1: whole, 2: first, 3: middle, 4: last piece of a record.
      const follows = isSound && (type === 1 || type === 2 ? !isInside : isInside)
      if (isSound && isBroken && (type === 1 || type === 2)) return 'hole'
      if (!isSound || !follows) isBroken = true
      if (!isSound) break
      isInside = type === 2 || type === 3
      at = next
    }
    // What is left of a block is too short for a record, and zeros; the last record of a file has nothing behind it.
    const rest = end - at < RECORD_HEADER_BYTES ? file.subarray(at, end) : EMPTY
    if (rest.length > 0 && (end === file.length || rest.some((byte) => byte !== 0))) isBroken = true
  }
  return isBroken || isInside ? 'torn' : 'whole'
}

/** Paths of the store's files of one kind. */
async function filesOf(store: string, ending: RegExp): Promise<string[]> {
  const names = await readdir(store).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return []
    throw error
  })
  return names.filter((name) => ending.test(name)).map((name) => join(store, name))
}

/** Looks at each log. One that goes away meanwhile was another process's, which has opened the store since. */
async function someLog(store: string, look: (path: string) => Promise<boolean>): Promise<boolean> {
  for (const path of await filesOf(store, /^\d+\.log$/)) {
    const isSo = await look(path).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return false
      throw error
    })
    if (isSo) return true
  }
  return false
}

/** Whether LevelDB would pass over something in its logs that was not merely cut off at the end. */
export function hasHole(store: string): Promise<boolean> {
  return someLog(store, async (path) => judgeLog(await readFile(path)) === 'hole')
}

/** Throws if a log can't be read: LevelDB would take what it got for all there is, and remove the rest. Else false. */
export function readLogs(store: string): Promise<boolean> {
  return someLog(store, async (path) => {
    for await (const _ of createReadStream(path));
    return false
  })
}

/** Files of LevelDB lie here, whether or not it could open them. */
export async function hasStoreFiles(store: string): Promise<boolean> {
  for (const path of await filesOf(store, /^\d+\.(ldb|sst|log)$/)) {
    if (((await stat(path).catch(() => undefined))?.size ?? 0) > 0) return true
  }
  return false
}

/** What LevelDB said at its last start of bytes in a log that it dropped. */
export async function droppedAtStart(store: string): Promise<boolean> {
  const text = await readFile(join(store, 'LOG'), 'utf8').catch(() => '')
  return /dropping \d+ bytes|Ignoring error/.test(text)
}

/** Paths of the store's tables as they are now. */
export function tablesIn(store: string): string[] {
  try {
    return readdirSync(store)
      .filter((name) => TABLE.test(name))
      .map((name) => join(store, name))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
}

/**
 * Paths of tables that have rotted.
 *
 * @param mayBeUnfinished whether this table may be being written: then it has no end yet.
 * @param pause is waited for between two of them.
 */
export async function rottenTables(
  store: string,
  mayBeUnfinished: (path: string) => boolean,
  pause: () => Promise<void> = async () => {},
): Promise<string[]> {
  const rotten: string[] = []
  for (const path of tablesIn(store)) {
    // LevelDB removes tables at any time.
    const file = await readFile(path).catch(() => undefined)
    if (file && !isTableSound(file) && (hasEnd(file) || !mayBeUnfinished(path))) rotten.push(path)
    await pause()
  }
  return rotten
}
