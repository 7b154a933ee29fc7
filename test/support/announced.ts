/** What leaves a simulated device, held against what a power cut at that moment would leave behind. */
import { nodeNatives } from '../../src/node/natives.js'
import { equalBytes, toHex } from '../../src/protocol/bytes.js'
import { decodeFrame } from '../../src/protocol/wire.js'
import { keys } from '../../src/store/keyspace.js'
import { LogRow, MetaRow, StatementRow, TransferRow } from '../../src/store/records.gen.js'
import type { SimDevice } from './world.js'

/** A stored value as it would be found after a power cut now. */
export function durable(device: SimDevice, key: Uint8Array): Uint8Array | undefined {
  const stored = device.disk.durable(key)
  return stored && nodeNatives.open(device.dataKey, stored.subarray(0, 24), stored.subarray(24), key)
}

interface Claim {
  log: Uint8Array
  seq: number
  check: Uint8Array
}

/** What of a frame's announcements is not durable, in words. */
export function undurable(from: SimDevice, bytes: Uint8Array): string[] {
  const frame = decodeFrame(bytes)
  const problems: string[] = []
  const say = (text: string) => problems.push(`${from.name} ${frame?.$case}: ${text}`)
  const claim = ({ log, seq, check }: Claim) => {
    const row = durable(from, keys.log(toHex(log)))
    const held = row && LogRow.decode(row)
    if (!held || held.seq < seq)
      say(`log ${toHex(log).slice(0, 6)} up to ${seq}, durable ${held?.seq ?? 'nothing'}`)
    else if (held.seq === seq && check.length > 0 && !equalBytes(held.check, check)) say('another check')
  }
  switch (frame?.$case) {
    case 'hello': {
      for (const each of frame.value.open) claim(each)
      const row = durable(from, keys.meta())
      const unfinished = durable(from, keys.transfer()) !== undefined
      if (frame.value.complete && row && MetaRow.decode(row).unclaimed) say('complete, but unclaimed on disk')
      if (frame.value.complete && unfinished) say('complete, but a transfer is unfinished on disk')
      break
    }
    case 'claims':
      for (const each of frame.value.closed) claim(each)
      for (const cut of frame.value.cuts) {
        const row = durable(from, keys.log(toHex(cut.log)))
        if (!row || (LogRow.decode(row).cutSeq ?? Number.POSITIVE_INFINITY) > cut.seq)
          say(`cut at ${cut.seq}`)
      }
      break
    case 'take': {
      for (const each of frame.value.frontier) claim(each)
      const row = durable(from, keys.transfer())
      const cursor = row ? TransferRow.decode(row).cursor : new Uint8Array(0)
      if (toHex(frame.value.after) > toHex(cursor)) say('behind a cursor that is not durable')
      break
    }
    case 'ack': {
      for (const each of frame.value.claims) claim(each)
      const row = durable(from, keys.transfer())
      const { cursor } = frame.value
      if (cursor.length > 0 && row && toHex(TransferRow.decode(row).cursor) < toHex(cursor)) say('cursor')
      break
    }
    case 'begin':
      for (const { log, seq } of frame.value.target) claim({ log, seq, check: new Uint8Array(0) })
      break
    case 'statements':
      // Another device's word is signed by it: passing it on promises nothing.
      for (const statement of frame.value.statements) {
        if (!equalBytes(statement.device, from.ed)) continue
        const row = durable(from, keys.statement(statement.device))
        if (!row || StatementRow.decode(row).counter < statement.counter)
          say(`statement ${statement.counter}`)
        for (const { log, seq } of statement.frontier) claim({ log, seq, check: new Uint8Array(0) })
      }
  }
  return problems
}
