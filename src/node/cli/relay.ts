/**
 * `relay`: runs a relay instead of a device. The relay itself is loaded only here and only when it is asked for:
 * it is the one place where the command line reaches into that room.
 */
import type { Command } from 'commander'
import { Refused } from '../api.js'
import { relayFolder } from '../data-folder.js'
import type { Act, Call } from './call.js'
import { collect } from './input.js'

interface RelayOptions {
  listen?: string[]
  announce?: string[]
  allow?: string[]
  data?: string
  metrics?: string
  circuit: boolean
  store?: string
  quotaMb?: string
  expiryDays?: string
  stunPort?: string
}

export function addRelayCommands(program: Command, act: Act): void {
  program
    .command('relay')
    .description('run a relay: the mailbox and meeting place of practices')
    .option('--listen <multiaddr>', 'listen here instead of on ports 4001 and 4002; may be repeated', many)
    .option('--announce <multiaddr>', 'an address under which devices reach it; may be repeated', many)
    .option('--metrics <port>', 'serve metrics for Prometheus on 127.0.0.1')
    .option('--no-circuit', 'do not pass on connections between devices')
    .option('--store <kind>', 'where mail is kept: level')
    .option('--quota-mb <number>', 'mail of one practice in megabytes')
    .option('--expiry-days <number>', 'days until mail that nobody collects is dropped')
    .option('--stun-port <port>', 'UDP port by which devices learn their own addresses')
    .option(
      '--allow <practice>',
      'the code of a practice that may use it, instead of all; may be repeated',
      many,
    )
    .action(act(relay))
}

const many = (value: string, before: string[] | undefined) => collect(value, before ?? [])

async function relay(call: Call, options: RelayOptions): Promise<void> {
  const { data, circuit, ...flags } = options
  const { runRelay } = await import('../../../relay/main.js')
  const end = new AbortController()
  const off = call.around.onSignal(() => end.abort())
  try {
    const error = await runRelay({
      // Left out, it is for the environment and the file to say.
      flags: circuit ? flags : { ...flags, circuit },
      env: call.around.env,
      folder: relayFolder(data, call.around.env),
      signal: end.signal,
      log: (line) => call.note(`${new Date().toISOString()} ${line}`),
      ready: (running) => announce(call, running),
    })
    if (error) throw new Refused(error.code, error.sentence)
  } finally {
    off()
  }
}

interface Running {
  id: string
  addresses: string[]
  metrics: number | undefined
  stun: number | undefined
}

async function announce(call: Call, running: Running): Promise<void> {
  const { id, addresses, metrics, stun } = running
  const value = { event: 'listening', id, addresses, metrics: metrics ?? null, stun: stun ?? null }
  if (call.json) return call.print(value, '')
  const { renderUnicodeCompact } = await import('uqr')
  const best = bestAddress(addresses)
  const lines = [
    'The relay is ready. The address for your devices:',
    '',
    `  ${best}`,
    '',
    renderUnicodeCompact(best),
  ]
  const others = addresses.filter((address) => address !== best)
  if (others.length > 0)
    lines.push('', 'It can be reached here as well:', ...others.map((address) => `  ${address}`))
  if (metrics !== undefined) lines.push('', `Metrics: http://127.0.0.1:${metrics}/metrics`)
  await call.print(value, lines.join('\n'))
}

/** A name before a number, and one of the world before one of this house. */
function bestAddress(addresses: string[]): string {
  const rank = (address: string) =>
    /^\/dns/.test(address)
      ? 0
      : /^\/ip[46]\/(127\.|10\.|192\.168\.|172\.(1[6-9]|2\d|3[01])\.|::1|f[cde])/.test(address)
        ? 2
        : 1
  return [...addresses].sort((a, b) => rank(a) - rank(b))[0] ?? ''
}
