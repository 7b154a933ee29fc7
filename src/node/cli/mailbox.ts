/** `mailbox on|off|forget|show`: the cloud mailbox of this device. */
import type { Command } from 'commander'
import type { MailboxReport } from '../contract.js'
import type { Act, Call } from './call.js'
import { withDevice } from './connect.js'
import { bytes, count, duration, printable, table } from './text.js'

export function addMailboxCommands(program: Command, act: Act): void {
  const mailbox = program.command('mailbox').description('the cloud mailbox of this device')
  mailbox
    .command('on [multiaddr...]')
    .description('use the cloud mailbox here, at these relays and those that the practice has')
    .action(act(on))
  mailbox.command('off').description('use it no more; what waits for this device is dropped').action(act(off))
  mailbox
    .command('forget <multiaddr>')
    .description('take back the address of a relay, on all devices of the practice')
    .action(act(forget))
  mailbox.command('show').description('show exactly what the relays hold').action(act(show))
}

async function on(call: Call, _options: object, relays: string[]): Promise<void> {
  const done = await withDevice(call, { network: true }, ({ client }) => client.mailbox.on({ relays }))
  await call.print(done, 'The cloud mailbox is on here.')
}

async function off(call: Call): Promise<void> {
  const done = await withDevice(call, { network: true }, ({ client }) => client.mailbox.off())
  await call.print(done, 'The cloud mailbox is off here. Devices nearby are still synced directly.')
}

async function forget(call: Call, _options: object, relay: string): Promise<void> {
  const done = await withDevice(call, { network: true }, ({ client }) => client.mailbox.forget({ relay }))
  await call.print(done, 'The practice uses this relay no more.')
}

async function show(call: Call): Promise<void> {
  const report = await withDevice(call, { network: true, reads: true }, ({ client }) => client.mailbox.show())
  await call.print(report, reportText(report))
}

function reportText({ relays, pendingTotal }: MailboxReport): string {
  if (relays.length === 0)
    return 'No relay is known yet. Turn the mailbox on with: kartoteka mailbox on MULTIADDR'
  const parts = relays.map(({ address, connected, pending }) => {
    if (!connected) return `${printable(address)}\n  not connected`
    const rows = pending.map((held) => [
      `  for ${held.name}`,
      count(held.count, 'item'),
      bytes(held.bytes),
      `oldest ${duration(held.oldest)}`,
    ])
    return [printable(address), rows.length === 0 ? '  nothing waits' : table(rows)].join('\n')
  })
  return [...parts, `${count(pendingTotal, 'item')} in all. A relay can't read any of them.`].join('\n')
}
