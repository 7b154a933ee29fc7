/**
 * Looks for a secret in bytes of any kind, in all forms in which it could stand there: as text in two encodings, in
 * base64 at each of its alignments, and in whatever was compressed by deflate (so by zlib and gzip as well, which
 * are frames around it), wherever it begins.
 */
import { closeSync, openSync, readdirSync, readFileSync, readSync } from 'node:fs'
import { join } from 'node:path'
import { constants, inflateRawSync } from 'node:zlib'
import { deflateHeaderFits } from './deflate-header.js'

export interface Finding {
  form: string
  at: number
}

interface Form {
  form: string
  bytes: Buffer
}

/** A stream that is longer than this is looked at up to here. */
const WINDOW_BYTES = 8 * 1024 * 1024
const MAX_INFLATED_BYTES = 64 * 1024 * 1024
const PIECE_BYTES = 32 * 1024 * 1024

export class Scanner {
  private readonly forms: Form[]
  private readonly squeezed: Form[]

  /** @param secret ASCII, random, and long enough not to be anywhere by chance. */
  constructor(secret: string) {
    const utf8 = Buffer.from(secret, 'utf8')
    const utf16 = Buffer.from(secret, 'utf16le')
    this.forms = [
      { form: 'UTF-8', bytes: utf8 },
      { form: 'UTF-16LE', bytes: utf16 },
      ...base64Forms('base64', utf8),
      ...base64Forms('base64 of UTF-16LE', utf16),
    ]
    this.squeezed = fixedForms(utf8)
  }

  scan(bytes: Buffer): Finding[] {
    return [...this.plain(bytes, [...this.forms, ...this.squeezed]), ...this.inflated(bytes)]
  }

  /** Every file with its name; a database may remove one at any time. */
  scanFolder(folder: string): Finding[] {
    return readdirSync(folder, { recursive: true, withFileTypes: true }).flatMap((entry) => {
      const path = join(entry.parentPath, entry.name)
      const named = this.scan(Buffer.from(path))
      if (!entry.isFile()) return named
      return [...named, ...this.scan(readFileSync(path))].map((found) => ({
        ...found,
        form: `${found.form} in ${path}`,
      }))
    })
  }

  /** What a process has written into its memory, while it stands still. Linux; of a child, or as root. */
  scanProcess(pid: number): Finding[] {
    process.kill(pid, 'SIGSTOP')
    try {
      return [...memoryOf(pid)].flatMap(({ where, bytes }) =>
        this.scan(bytes).map((found) => ({ ...found, form: `${found.form} in memory ${where}` })),
      )
    } finally {
      process.kill(pid, 'SIGCONT')
    }
  }

  private plain(bytes: Buffer, forms: Form[]): Finding[] {
    return forms.flatMap(({ form, bytes: needle }) => {
      const at = bytes.indexOf(needle)
      return at < 0 ? [] : [{ form, at }]
    })
  }

  private inflated(bytes: Buffer): Finding[] {
    const found: Finding[] = []
    for (let at = 0; at + 10 < bytes.length; at++) {
      // A block with codes of its own; one with the fixed codes is found as it stands.
      if ((bytes[at]! & 6) !== 4 || !deflateHeaderFits(bytes, at)) continue
      const inside = inflate(bytes.subarray(at, at + WINDOW_BYTES))
      if (!inside) continue
      for (const { form } of this.plain(inside, this.forms)) found.push({ form: `${form}, compressed`, at })
    }
    return found
  }
}

/** What a stream holds; as much as there is, if it is cut off. */
function inflate(bytes: Buffer): Buffer | undefined {
  try {
    return inflateRawSync(bytes, {
      finishFlush: constants.Z_SYNC_FLUSH,
      maxOutputLength: MAX_INFLATED_BYTES,
    })
  } catch {
    return undefined
  }
}

/** The characters that depend on the secret alone, for each of the three places where it may begin. */
function base64Forms(form: string, bytes: Buffer): Form[] {
  return [0, 1, 2].map((before) => {
    const text = Buffer.concat([Buffer.alloc(before), bytes])
      .toString('base64')
      .replaceAll('=', '')
    const first = Math.ceil((before * 8) / 6)
    const last = Math.floor(((before + bytes.length) * 8) / 6)
    return { form: `${form} at ${before}`, bytes: Buffer.from(text.slice(first, last)) }
  })
}

/**
 * In a block of deflate with the fixed codes each character is eight bits of its own, so the secret stands there
 * as it is but for where in a byte it begins: eight possibilities.
 */
function fixedForms(bytes: Buffer): Form[] {
  let bits = ''
  for (const byte of bytes) bits += (byte + 0x30).toString(2).padStart(8, '0')
  return [0, 1, 2, 3, 4, 5, 6, 7].map((shift) => {
    const whole = bits.slice(shift, bits.length - ((bits.length - shift) % 8))
    const packed = whole.match(/.{8}/g)!.map((byte) => Number.parseInt([...byte].reverse().join(''), 2))
    return { form: `compressed with fixed codes at ${shift}`, bytes: Buffer.from(packed) }
  })
}

/** Mappings that were written, or belong to no file, and are in memory. */
function* memoryOf(pid: number): Generator<{ where: string; bytes: Buffer }> {
  const memory = openSync(`/proc/${pid}/mem`, 'r')
  try {
    for (const { from, to, where } of mappingsOf(pid)) {
      for (let at = from; at < to; at += PIECE_BYTES) {
        // With so much of the next piece that nothing is cut in two.
        const bytes = Buffer.alloc(Math.min(PIECE_BYTES + 4096, to - at))
        try {
          yield { where, bytes: bytes.subarray(0, readSync(memory, bytes, 0, bytes.length, at)) }
        } catch {
          // Such as the pages of the kernel's own.
        }
      }
    }
  } finally {
    closeSync(memory)
  }
}

function mappingsOf(pid: number): { from: number; to: number; where: string }[] {
  const parts = readFileSync(`/proc/${pid}/smaps`, 'utf8').split(/^(?=[0-9a-f]+-[0-9a-f]+ )/m)
  return parts.flatMap((part) => {
    const [, from, to, rights, path] = /^([0-9a-f]+)-([0-9a-f]+) (\S+) \S+ \S+ \S+ *(.*)/.exec(part)!
    const isInMemory = !/^Rss: +0 kB/m.test(part)
    if (!isInMemory || rights![0] !== 'r' || (rights![1] !== 'w' && path!.startsWith('/'))) return []
    return [{ from: Number.parseInt(from!, 16), to: Number.parseInt(to!, 16), where: `${from} ${path}` }]
  })
}
