/** A file of sealed changes on its way between the device and the disk, piece by piece. */
import type { CarryReport } from '../../src/node/contract.js'
import { fromBase64, toBase64 } from '../editor/base64.js'
import type { Client } from '../state/client.js'
import { today } from './dates.js'
import { safeName } from './download.js'

/** Well below the bound of the link, and small enough that progress moves. */
export const pieceBytes = 1024 * 1024

/** The pieces as one file, and the ids of cases that it lacks; `progress` hears the bytes so far. */
export async function collect(
  pieces: AsyncIterable<{ data: string; lacks?: string[] | undefined }>,
  progress: (bytes: number) => void,
): Promise<{ blob: Blob; lacking: string[] }> {
  const lacking: string[] = []
  const parts: Uint8Array<ArrayBuffer>[] = []
  let bytes = 0
  for await (const { data, lacks = [] } of pieces) {
    lacking.push(...lacks)
    const part = fromBase64(data)
    parts.push(part)
    bytes += part.length
    progress(bytes)
  }
  return { blob: new Blob(parts, { type: 'application/octet-stream' }), lacking }
}

/** Sends a file to the device; `progress` hears 0 to 1. The device answers for the whole with the last piece. */
export async function sendFile(
  client: Client,
  file: File,
  signal: AbortSignal,
  progress: (part: number) => void,
): Promise<CarryReport> {
  const name = crypto.randomUUID()
  for (let at = 0; ; at += pieceBytes) {
    const end = Math.min(file.size, at + pieceBytes)
    const data = toBase64(new Uint8Array(await file.slice(at, end).arrayBuffer()))
    const last = end === file.size
    signal.throwIfAborted()
    const report = await client.carry.in({ file: name, data, last })
    if (last) return report
    progress(end / file.size)
  }
}

export function fileName(practice: string, now: Date): string {
  return `${safeName(practice)}-${today(now)}.kartoteka`
}
