/** What people hand to a command: secrets, JSON files, numbers. */
import { createReadStream } from 'node:fs'
import type { Readable } from 'node:stream'
import { InvalidArgumentError } from 'commander'
import { stripNewline } from '../../protocol/pin.js'
import { Refused } from '../api.js'

/** A PIN or a passphrase; more than this is the wrong file. */
const MAX_SECRET_BYTES = 4096
/** The contract's limit of a case. */
export const MAX_TEXT_BYTES = 64 * 1024 * 1024

/** `-` is standard input. */
export function openInput(path: string, stdin: Readable): Readable {
  return path === '-' ? stdin : createReadStream(path, { highWaterMark: 1024 * 1024 })
}

/** One trailing line break isn't part of a secret. */
export async function readSecret(path: string, stdin: Readable): Promise<string> {
  return stripNewline(await readText(path, stdin, MAX_SECRET_BYTES))
}

/** A whole file of UTF-8, without a byte order mark. */
export async function readText(path: string, stdin: Readable, limitBytes = MAX_TEXT_BYTES): Promise<string> {
  const parts: Buffer[] = []
  let size = 0
  try {
    for await (const part of openInput(path, stdin) as AsyncIterable<Buffer | string>) {
      const bytes = Buffer.from(part as Buffer)
      size += bytes.length
      if (size > limitBytes) throw new Refused('file-too-long', `${nameOf(path)} is too long.`)
      parts.push(bytes)
    }
    return new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(parts))
  } catch (error) {
    throw fileRefusal(error, path, 'read')
  }
}

/** A system error about a file, as a sentence. */
export function fileRefusal(error: unknown, path: string, verb: 'read' | 'written'): Refused {
  if (error instanceof Refused) return error
  const { code, name } = error as { code?: string; name?: string }
  if (code === 'ERR_ENCODING_INVALID_ENCODED_DATA') {
    return new Refused('not-text', `${nameOf(path)} is not UTF-8 text.`)
  }
  return new Refused('file', `${nameOf(path)} can't be ${verb} (${reasons[code ?? ''] ?? code ?? name}).`)
}

const reasons: Record<string, string> = {
  ENOENT: 'there is no such file or folder',
  EACCES: 'no permission',
  EISDIR: 'it is a folder',
  ENOSPC: 'the disk is full',
}

function nameOf(path: string): string {
  return path === '-' ? 'Standard input' : path
}

/** An option's parser: a whole number from `least` to `most`. */
export function wholeNumber(least: number, most = Number.MAX_SAFE_INTEGER) {
  return (text: string): number => {
    const number = Number(text)
    if (!/^\d+$/.test(text) || number < least || number > most)
      throw new InvalidArgumentError(`It must be a whole number from ${least} to ${most}.`)
    return number
  }
}

/** An option's parser: seconds, fractions allowed. */
export function seconds(text: string): number {
  if (!/^\d+(\.\d+)?$/.test(text) || Number(text) > 86400)
    throw new InvalidArgumentError('It must be a number of seconds up to 86400.')
  return Number(text)
}

/** An option that can be given several times. */
export function collect(value: string, before: string[]): string[] {
  return [...before, value]
}

/** `FIELD=VALUE`; the value may hold further equals signs. */
export function parseField(text: string): [string, string] {
  const at = text.indexOf('=')
  if (at < 1) throw new InvalidArgumentError(`"${text}" isn't FIELD=VALUE.`)
  return [text.slice(0, at), text.slice(at + 1)]
}
