/** What the device can say about itself: `status sync verify search log doctor`. */
import type { Command } from 'commander'
import type { Status } from '../contract.js'
import type { Act, Call } from './call.js'
import { withDevice } from './connect.js'
import { seconds } from './input.js'
import { bytes, count, moment, printable, table } from './text.js'

type StatusOptions = { wait?: 'synced' | 'idle'; timeout: number }

/** Long enough for three failed dials and a mailbox that is slow to answer. */
const DEFAULT_TIMEOUT_SECONDS = 60

export function addReportCommands(program: Command, act: Act): void {
  program
    .command('status')
    .description('show how things stand')
    .addOption(
      program.createOption('--wait <state>', 'first wait until this is so').choices(['synced', 'idle']),
    )
    .option('--timeout <seconds>', 'how long to wait', seconds, DEFAULT_TIMEOUT_SECONDS)
    .action(act(status))
  program.command('sync').description('exchange changes with the other devices now').action(act(sync))
  program.command('verify').description('prove that all devices hold identical cases').action(act(verify))
  program.command('search <text>').description('find cases by a name').action(act(search))
  program.command('log').description('what happened lately').action(act(log))
  program.command('doctor').description('check this device').action(act(doctor))
}

async function status(call: Call, options: StatusOptions): Promise<number> {
  const { wait } = options
  const outcome = await withDevice(call, { network: wait !== undefined, reads: true }, async ({ client }) =>
    wait === undefined
      ? { met: true, status: await client.status() }
      : client.wait({ for: wait, timeoutSeconds: options.timeout }),
  )
  await call.print(outcome.status, statusText(outcome.status))
  if (outcome.met) return 0
  call.note(`The time is over; this device is not ${wait} yet.`)
  return 1
}

function statusText(status: Status): string {
  const { practice, device, cases, mailbox } = status
  const kept = [`${cases.archived} archived`, `${cases.deleted} deleted`].join(', ')
  const lines = [
    practice ? `Practice ${printable(practice.name)}` : 'No practice yet',
    `This device: ${printable(device.name) || device.id}, Kartoteka ${status.version}`,
    `${count(cases.total, 'case')} (${kept}), ${bytes(status.store.bytes)} on disk`,
    `Cloud mailbox: ${stateWords[status.state]}`,
  ]
  if (mailbox.pendingOut + mailbox.pendingIn > 0)
    lines.push(`  ${mailbox.pendingOut} waiting to go out, ${mailbox.pendingIn} to come in`)
  const others = status.devices.filter((other) => !other.self)
  if (others.length > 0)
    lines.push(
      table(
        others.map((other) => [
          `  ${other.name}`,
          other.connected ? pathWords[other.path] : `last seen ${moment(other.lastSeen)}`,
          other.upToDate ? 'up to date' : `${count(other.behind, 'change')} behind`,
        ]),
      ),
    )
  for (const problem of status.problems) lines.push(`! ${printable(problem.sentence)}`)
  return lines.join('\n')
}

const stateWords = {
  off: 'off',
  connected: 'connected',
  syncing: 'syncing',
  offline: 'no Internet or mailbox offline',
}
const pathWords = {
  lan: 'same network',
  direct: 'direct',
  relayed: 'through relay',
  mailbox: 'by mailbox',
  none: 'not connected',
}

async function sync(call: Call): Promise<void> {
  const report = await withDevice(call, { network: true }, ({ client }) => client.sync())
  await call.print(report, `Sent ${count(report.sent, 'change')}, received ${report.received}.`)
}

async function verify(call: Call): Promise<void> {
  const report = await withDevice(call, { network: true, reads: true }, ({ client }) => client.verify())
  const lines = report.devices.map(({ id, reached, differs }) => {
    if (!reached) return `${id}: not reached`
    return differs.length === 0
      ? `${id}: identical`
      : `${id}: differs in ${differs.map((name) => printable(name)).join(', ')}`
  })
  const sum = report.identical ? 'All devices are identical.' : 'Not proved identical.'
  await call.print(report, [...lines, sum].join('\n'))
}

async function search(call: Call, _options: object, text: string): Promise<void> {
  const hits = await withDevice(call, { reads: true }, ({ client }) => client.search({ text }))
  await call.print(
    hits,
    table(
      hits.map((hit) => [hit.id, hit.in, hit.snippet]),
      80,
    ),
  )
}

async function log(call: Call): Promise<void> {
  const lines = await withDevice(call, { reads: true }, ({ client }) => client.log())
  await call.print(lines, lines.map((line) => `${moment(line.at)}  ${printable(line.text)}`).join('\n'))
}

async function doctor(call: Call): Promise<void> {
  const checks = await withDevice(call, { reads: true }, ({ client }) => client.doctor())
  const lines = checks.flatMap(({ ok, sentence, fix }) => [
    `${ok ? 'ok  ' : 'BAD '} ${printable(sentence)}`,
    ...(ok || fix === '' ? [] : [`     ${printable(fix)}`]),
  ])
  await call.print(checks, lines.join('\n'))
}
