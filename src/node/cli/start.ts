/** `start`, `stop` and `open`: the device as a process with a window. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Command } from 'commander'
import { type Device, Refused, toRefused } from '../api.js'
import { readLinkFile, removeLinkFile, writeLinkFile } from '../data-folder.js'
import { connectLink, isAlive, type Link } from '../link-client.js'
import type { LocalServer } from '../local-server.js'
import type { Act, Call } from './call.js'
import { linkOrDevice, notRunning } from './connect.js'
import { collect, wholeNumber } from './input.js'

type StartOptions = { port?: number; window: boolean; listen: string[]; lan: boolean }

/** A clean stop flushes; a disk that takes longer than this is given up. */
const STOP_TIMEOUT_MS = 30_000
const POLL_MS = 50
/** Between attempts to make the device anew. */
const AGAIN_MS = 1_000
/** How long the network waits for a window that wants to see cases: to load it holds everything up for a moment. */
const CASES_FIRST_MS = 200

export function addStartCommands(program: Command, act: Act): void {
  program
    .command('start')
    .description('run the device and open its window (the default command)')
    .option('--port <number>', 'the port of the window', wholeNumber(1, 65535))
    .option('--no-window', 'open no window')
    .option('--listen <multiaddr>', 'listen here instead of everywhere; may be repeated', collect, [])
    .option('--no-lan', 'do not look for devices on this network')
    .action(act(start))
  program
    .command('open')
    .description('open a window on the running device')
    .option('--print', 'only print a fresh one-time address')
    .action(act(openAgain))
  program.command('stop').description('stop the running device').action(act(stop))
}

async function start(call: Call, options: StartOptions): Promise<void> {
  const end = new AbortController()
  const off = call.around.onSignal(() => end.abort())
  try {
    let serving = () => {}
    const networkAfter = new Promise<void>((resolve) => {
      serving = resolve
    })
    const create = async (): Promise<Made> => {
      let onRenewed = () => {}
      const renewed = new Promise<void>((resolve) => {
        onRenewed = resolve
      })
      const device = await call.around.createDevice({
        folder: call.folder,
        networkAfter,
        lan: options.lan,
        log: (line) => call.note(line),
        onRenewed,
        ...(options.listen.length > 0 ? { listen: options.listen } : {}),
      })
      return { device, renewed }
    }
    const found = await linkOrDevice(call, create, end.signal)
    if ('pid' in found) return await showRunning(call, found, options)
    await serve(call, found, options, { end, serving, create })
  } finally {
    off()
  }
}

/** A device, and when it has to be made anew. */
interface Made {
  device: Device
  renewed: Promise<void>
}

interface Serving {
  end: AbortController
  serving: () => void
  create: () => Promise<Made>
}

/** Runs until a signal or `stop`. */
async function serve(
  call: Call,
  first: Made,
  options: StartOptions,
  { end, serving, create }: Serving,
): Promise<void> {
  const ended = new Promise<void>((resolve) => {
    end.signal.addEventListener('abort', () => resolve())
    if (end.signal.aborted) resolve()
  })
  let { device, renewed } = first
  let open: Device | undefined = device
  let server: LocalServer | undefined
  try {
    const { createLocalServer } = await import('../local-server.js')
    server = await createLocalServer({
      device,
      folder: call.folder,
      onStop: () => end.abort(),
      log: (line) => call.note(line),
      ...(options.port === undefined ? {} : { port: options.port }),
    })
    await writeLinkFile(call.folder, { port: server.port, pid: process.pid, token: server.linkToken })
    await Promise.race([sleep(CASES_FIRST_MS), ended])
    serving()
    await device.online()
    await announce(call, device.id, device.addresses(), server.windowUrl())
    if (options.window) await show(call, server.windowUrl())
    for (;;) {
      await Promise.race([ended, renewed])
      if (end.signal.aborted) return
      server.pause()
      open = undefined
      await device.close().catch((error: unknown) => call.note(toRefused(error).sentence))
      const made = await again(call, device.id, server, create, end.signal)
      if (!made) return
      ;({ device, renewed } = made)
      open = device
      server.pause()
      server.resume(device)
      // A command may have come in between, and have left one of its own.
      await writeLinkFile(call.folder, { port: server.port, pid: process.pid, token: server.linkToken })
      await device.online().catch((error: unknown) => call.note(toRefused(error).sentence))
      await announce(call, device.id, device.addresses(), server.windowUrl())
    }
  } finally {
    open?.stopping()
    await server?.close()
    await open?.close()
    // Last: who sees it gone may take the folder.
    if (server) await removeLinkFile(call.folder, server.linkToken)
  }
}

/** Nobody may be there to start it once more: whatever is in the way now is said, and waited for. */
async function again(
  call: Call,
  id: string,
  server: LocalServer,
  create: () => Promise<Made>,
  end: AbortSignal,
): Promise<Made | undefined> {
  for (let said = ''; !end.aborted; ) {
    try {
      return await create()
    } catch (error) {
      const refusal = toRefused(error)
      if (refusal.sentence !== said) {
        said = refusal.sentence
        call.note(said)
        server.pause()
        server.resume(standIn(id, refusal))
      }
    }
    await sleep(AGAIN_MS, undefined, { signal: end }).catch(() => {})
  }
  return undefined
}

/** Answers everything with what is in the way: a window shows it, and `stop` gets through. */
function standIn(id: string, refusal: Refused): Device {
  const refuse = async () => {
    throw refusal
  }
  const node: ProxyHandler<() => Promise<never>> = {
    get: (_target, key) => (key === 'id' ? id : key === 'addresses' ? () => [] : new Proxy(refuse, node)),
  }
  return new Proxy(refuse, node) as unknown as Device
}

/** The device of this folder runs already: its window is shown, and this process is done. */
async function showRunning(call: Call, link: Link, options: StartOptions): Promise<void> {
  try {
    const { url } = await link.client.windowUrl()
    const { device, addresses } = await link.client.about()
    await announce(call, device, addresses, url)
    if (options.window) await show(call, (await link.client.windowUrl()).url)
  } finally {
    link.close()
  }
}

function announce(call: Call, device: string, addresses: string[], url: string): Promise<void> {
  const ready = { event: 'ready', url, device, addresses, data: call.folder }
  return call.print(ready, `Kartoteka is ready: ${url}`)
}

async function show(call: Call, url: string): Promise<void> {
  const { env, openWindow } = call.around
  const kind = await openWindow({ url, folder: call.folder, env }).catch(() => null)
  if (kind === null) call.note('No window could be opened here; use the address.')
}

async function openAgain(call: Call, options: { print?: boolean }): Promise<void> {
  const link = await connectLink(call.folder)
  if (!link) throw notRunning()
  try {
    const { url } = await link.client.windowUrl()
    if (options.print) return await call.print({ url }, url)
    const { env, openWindow } = call.around
    const opened = await openWindow({ url, folder: call.folder, env }).catch(() => null)
    // The code is spent by the window that opened; without one it is the person's to use.
    await call.print({ opened, url: opened === null ? url : null }, opened === null ? url : '')
  } finally {
    link.close()
  }
}

/** Done when the folder is free, and when nothing ran in the first place. */
async function stop(call: Call): Promise<void> {
  const link = await connectLink(call.folder)
  if (!link) return call.print({ ok: true, running: false }, 'Nothing was running.')
  const asked = link.client.stop().catch((error: unknown) => {
    // It may hang up before it has answered.
    if (toRefused(error).code !== 'device-stopped') throw error
  })
  await Promise.race([asked, link.closed])
  await link.closed
  const deadline = performance.now() + STOP_TIMEOUT_MS
  while (await holds(call.folder, link.pid)) {
    if (performance.now() > deadline)
      throw new Refused('still-stopping', `Process ${link.pid} has not ended yet.`)
    await sleep(POLL_MS)
  }
  await call.print({ ok: true, running: true }, 'Stopped.')
}

/** Its link file goes last of all. */
async function holds(folder: string, pid: number): Promise<boolean> {
  return isAlive(pid) && (await readLinkFile(folder))?.pid === pid
}
