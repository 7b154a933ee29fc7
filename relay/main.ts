/** `kartoteka relay`: one relay from its settings until it is told to stop. Loaded only when it is asked for. */
import { isRelayError, type RelayError } from './error.js'
import { startRelay } from './server.js'
import { type RelayFlags, readSettings } from './settings.js'

export interface RelayRun {
  flags: RelayFlags
  env: NodeJS.ProcessEnv
  folder: string
  signal: AbortSignal
  log: (line: string) => void
  /** It listens. */
  ready(relay: {
    id: string
    addresses: string[]
    metrics: number | undefined
    stun: number | undefined
  }): Promise<void>
}

/** Resolves after a clean stop, or with what kept it from starting. */
export async function runRelay(run: RelayRun): Promise<RelayError | undefined> {
  const settings = await readSettings(run.flags, run.env, run.folder)
  if (isRelayError(settings)) return settings
  const relay = await startRelay({ folder: run.folder, settings, log: run.log })
  if (isRelayError(relay)) return relay
  try {
    const { id, stunPort, metricsPort } = relay
    await run.ready({ id, addresses: relay.addresses(), metrics: metricsPort, stun: stunPort })
    await new Promise<void>((resolve) => {
      run.signal.addEventListener('abort', () => resolve())
      if (run.signal.aborted) resolve()
    })
  } finally {
    await relay.stop()
  }
  return undefined
}
