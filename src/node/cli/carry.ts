/** `carry out|in`: sealed changes in a file, on a USB stick for example. */
import { open } from 'node:fs/promises'
import type { Command } from 'commander'
import type { Act, Call } from './call.js'
import { isFile, keepWhole, refuseIfShort } from './case-export.js'
import { withDevice } from './connect.js'
import { fileRefusal } from './input.js'
import { intoFile } from './into-file.js'
import { bytes, count } from './text.js'

const PIECE_BYTES = 1024 * 1024

export function addCarryCommands(program: Command, act: Act): void {
  const carry = program.command('carry').description('sealed changes in a file, for devices that never meet')
  carry.command('out <file>').description('write what other devices may lack into a file').action(act(out))
  carry.command('in <file>').description('take in such a file').action(act(takeIn))
}

async function out(call: Call, _options: object, file: string): Promise<void> {
  const isThere = await isFile(file)
  const missing: string[] = []
  const written = await withDevice(call, { reads: true }, ({ client }) =>
    intoFile(call.around.onSignal, file, async (write) => {
      let total = 0
      for await (const { data, lacks = [] } of await client.carry.out()) {
        const piece = Buffer.from(data, 'base64')
        total += piece.length
        await write(piece)
        missing.push(...lacks)
      }
      if (isThere) keepWhole(missing, file)
      return total
    }),
  )
  refuseIfShort(missing, file)
  await call.print(
    { bytes: written },
    `${bytes(written)} written to ${file}. Only your own devices can read it.`,
  )
}

async function takeIn(call: Call, _options: object, file: string): Promise<void> {
  const report = await withDevice(call, {}, async ({ client }) => {
    const handle = await open(file, 'r').catch((error: unknown) => {
      throw fileRefusal(error, file, 'read')
    })
    try {
      const name = `${process.pid}-${Date.now()}`
      for (;;) {
        const { buffer, bytesRead } = await handle
          .read(Buffer.alloc(PIECE_BYTES), 0, PIECE_BYTES)
          .catch((error: unknown) => {
            throw fileRefusal(error, file, 'read')
          })
        const data = buffer.subarray(0, bytesRead).toString('base64')
        const answer = await client.carry.in({ file: name, data, last: bytesRead === 0 })
        if (bytesRead === 0) return answer
      }
    } finally {
      await handle.close()
    }
  })
  await call.print(report, `${count(report.received, 'change')} taken in.`)
}
