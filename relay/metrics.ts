/** What a relay counts, for Prometheus on this computer: no practice, no device, no address. */
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import type { RelayError } from './error.js'
import type { RelayMeter } from './meter.js'
import type { Totals } from './store/mail-store.js'

const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10]
const MILLISECONDS_PER_SECOND = 1000

/** Looked at when somebody asks. */
export interface Present {
  totals(): Totals
  sessions(): number
  connections(): number
  circuits(): number
  reservations(): number
  isReady(): boolean
}

export interface Metrics extends RelayMeter {
  flushed(ms: number, tasks: number): void
  /** Serves /metrics, /health and /ready on loopback; the port that it got. */
  listen(port: number, present: Present): Promise<{ port: number; close(): Promise<void> } | RelayError>
}

export function createMetrics(): Metrics {
  const registers = [new Registry()]
  const name = (rest: string) => `kartoteka_relay_${rest}`
  const counter = (rest: string, help: string, labelNames: string[] = []) =>
    new Counter({ name: name(rest), help, labelNames, registers })
  const histogram = (rest: string, help: string, buckets: number[]) =>
    new Histogram({ name: name(rest), help, buckets, registers })

  const deposits = counter('deposits_total', 'Deposits answered, by error; empty: durable', ['error'])
  const bytes = counter('deposited_bytes_total', 'Bytes of envelopes that became durable')
  const latency = histogram('deposit_seconds', 'From the arrival of a deposit until it is durable', SECONDS)
  const flush = histogram('flush_seconds', 'One flushed write', SECONDS)
  const group = histogram('flush_requests', 'Requests that shared one flush', [1, 2, 4, 8, 16, 32, 64, 256])
  const collected = counter('collected_total', 'Mails handed out')
  const acknowledged = counter('acknowledged_total', 'Mails acknowledged')
  const refused = counter('refused_total', 'Sessions ended, by reason', ['reason'])
  const asked = counter('codes_asked_total', 'Questions for a practice code, by outcome', ['outcome'])

  return {
    deposit(error, ms, size) {
      deposits.inc({ error })
      latency.observe(ms / MILLISECONDS_PER_SECOND)
      if (error === '') bytes.inc(size)
    },
    collected: (mails) => collected.inc(mails),
    acknowledged: (mails) => acknowledged.inc(mails),
    refused: (reason) => refused.inc({ reason }),
    asked: (outcome) => asked.inc({ outcome }),
    flushed(ms, tasks) {
      flush.observe(ms / MILLISECONDS_PER_SECOND)
      group.observe(tasks)
    },
    async listen(port, present) {
      collectDefaultMetrics({ register: registers[0]! })
      const gauge = (rest: string, help: string, value: () => number) =>
        new Gauge({
          name: name(rest),
          help,
          registers,
          collect() {
            this.set(value())
          },
        })
      gauge('practices', 'Practices registered', () => present.totals().practices)
      gauge('pending_rows', 'Mails waiting, once for each recipient', () => present.totals().rows)
      gauge('pending_bytes', 'Bytes of envelopes waiting', () => present.totals().bytes)
      gauge('sessions', 'Devices connected to the mailbox', present.sessions)
      gauge('connections', 'Connections', present.connections)
      gauge('circuits', 'Open circuits', present.circuits)
      gauge('reservations', 'Devices that can be reached through circuits', present.reservations)
      const pages: Record<string, () => Promise<string> | string> = {
        '/metrics': () => registers[0]!.metrics(),
        '/health': () => 'ok\n',
        '/ready': () => (present.isReady() ? 'ready\n' : ''),
      }
      return serve(port, pages)
    },
  }
}

async function serve(port: number, pages: Record<string, () => Promise<string> | string>) {
  const server = createServer((request, response) => {
    const page = request.method === 'GET' ? pages[request.url ?? ''] : undefined
    if (!page) return void response.writeHead(404).end()
    void Promise.resolve(page()).then(
      (text) =>
        response
          .writeHead(text === '' ? 503 : 200, { 'content-type': 'text/plain; version=0.0.4' })
          .end(text),
      () => response.writeHead(500).end(),
    )
  })
  const error = await listening(server, port)
  if (error !== undefined) {
    const sentence = `The metrics can't listen on 127.0.0.1:${port} (${error}). Choose another port with --metrics.`
    return { code: 'listen-failed', sentence }
  }
  return {
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

/** undefined when it listens, else the system's code. */
function listening(server: Server, port: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    server.once('error', (error) => resolve((error as NodeJS.ErrnoException).code ?? String(error)))
    server.listen(port, '127.0.0.1', () => resolve(undefined))
  })
}
