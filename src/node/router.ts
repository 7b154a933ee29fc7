/**
 * The contract, implemented over a device and the process around it: mechanical on purpose.
 * Inputs and outputs are validated by the contract; a `Refused` becomes an `ORPCError` whose data is
 * `{ code, sentence }`, and so does a bug, without its details.
 */
import { type ContractRouterClient, isContractProcedure } from '@orpc/contract'
import { type AnyRouter, createRouterClient, implement, ORPCError } from '@orpc/server'
import { type DeviceApi, type HostApi, Refused, toRefused } from './api.js'
import { contract } from './contract.js'

/** How the window and the command line talk to a device, over the link or within one process. */
export type Client = ContractRouterClient<typeof contract>

export interface RouterOptions {
  device: DeviceApi
  host: HostApi
  log: (line: string) => void
}

type Tree = { readonly [key: string]: unknown }

/** The router that the local server offers on its socket. */
export function createRouter(options: RouterOptions): AnyRouter {
  const { device, host } = options
  const ownerOf = (key: string) => (key in host ? host : device) as unknown as Tree
  return branch(contract, ownerOf, '', options.log)
}

/** The same procedures without a socket: for a command that runs the device in its own process. */
export function createLocalClient(options: RouterOptions): Client {
  return createRouterClient(createRouter(options), { context: {} }) as unknown as Client
}

function branch(node: Tree, ownerOf: (key: string) => Tree, prefix: string, log: RouterOptions['log']) {
  const router: Record<string, AnyRouter> = {}
  for (const [key, child] of Object.entries(node)) {
    const owner = ownerOf(key)
    const name = `${prefix}${key}`
    router[key] = isContractProcedure(child)
      ? procedure(child, owner, key, name, log)
      : branch(child as Tree, () => owner[key] as Tree, `${name}.`, log)
  }
  return router
}

function procedure(
  child: Parameters<typeof isContractProcedure>[0],
  owner: Tree,
  key: string,
  name: string,
  log: RouterOptions['log'],
): AnyRouter {
  const leaf = implement(child as typeof contract.cases.show)
  const takesInput = leaf['~orpc'].inputSchema !== undefined
  return leaf.handler(async ({ input, signal }) => {
    try {
      const run = owner[key] as (...args: unknown[]) => unknown
      const result = await run.apply(owner, takesInput ? [input, signal] : [signal])
      return (isIterable(result) ? untilAborted(result, signal, name, log) : result) as { json: string }
    } catch (error) {
      throw toWire(error, name, log)
    }
  }) as AnyRouter
}

/** Ends when the other side goes away, even while the source is silent. */
async function* untilAborted(
  source: AsyncIterable<unknown>,
  signal: AbortSignal | undefined,
  name: string,
  log: RouterOptions['log'],
) {
  const iterator = source[Symbol.asyncIterator]()
  let end = () => {}
  const aborted = new Promise<IteratorResult<unknown>>((resolve) => {
    end = () => resolve({ done: true, value: undefined })
  })
  signal?.addEventListener('abort', end)
  if (signal?.aborted) end()
  try {
    for (;;) {
      const next = await Promise.race([iterator.next(), aborted])
      if (next.done) return
      yield next.value
    }
  } catch (error) {
    throw toWire(error, name, log)
  } finally {
    signal?.removeEventListener('abort', end)
    // Not awaited: a generator that waits for its next event answers only after that event.
    iterator.return?.().catch(() => {})
  }
}

function toWire(error: unknown, name: string, log: RouterOptions['log']): ORPCError<string, unknown> {
  if (error instanceof ORPCError) return error
  if (error instanceof Refused)
    return new ORPCError('REFUSED', { status: 409, message: error.sentence, data: error.toRefusal() })
  log(`${name} failed: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`)
  const data = toRefused(error).toRefusal()
  return new ORPCError('INTERNAL_SERVER_ERROR', { message: data.sentence, data })
}

function isIterable(value: unknown): value is AsyncIterable<unknown> {
  return typeof value === 'object' && value !== null && Symbol.asyncIterator in value
}
