/** The database under a relay's store, and one write to it. */
import type { AbstractLevel } from 'abstract-level'

export type Database = AbstractLevel<string | Buffer | Uint8Array, Uint8Array, Uint8Array> & {
  /** Of classic-level: gives the disk back what was deleted in this range. */
  compactRange?(start: Uint8Array, end: Uint8Array, options: object): Promise<void>
  /** Of classic-level: bytes on the disk for this range, about. */
  approximateSize?(start: Uint8Array, end: Uint8Array, options: object): Promise<number>
}

export const VIEW = { keyEncoding: 'view', valueEncoding: 'view' } as const

/** Without a value: a deletion. */
export interface Write {
  key: Uint8Array
  value?: Uint8Array
}

/** Whether the disk said that it is out of space. */
export function isFull(error: unknown): boolean {
  return /ENOSPC|No space left|EDQUOT|Disk quota/i.test(
    `${error} ${(error as { cause?: unknown })?.cause ?? ''}`,
  )
}
