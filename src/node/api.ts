/**
 * What a device can do, as plain asynchronous functions: the contract of the local link seen from
 * the inside. A device implements `DeviceApi`; the local server adds `HostApi`; `router.ts` joins both.
 */
import type { ContractProcedure, InferSchemaInput, InferSchemaOutput } from '@orpc/contract'
import type { contract, Refusal } from './contract.js'

/**
 * An expected failure: a stable code and the sentence that a person reads.
 * Everything else that is thrown counts as a bug and reaches the other side without its details.
 */
export class Refused extends Error {
  readonly code: string
  readonly sentence: string

  constructor(code: string, sentence: string) {
    super(`${code}: ${sentence}`)
    this.name = 'Refused'
    this.code = code
    this.sentence = sentence
  }

  toRefusal(): Refusal {
    return { code: this.code, sentence: this.sentence }
  }
}

/** Any error of a call, be it across the link or within the process, as the refusal it carries. */
export function toRefused(error: unknown): Refused {
  if (error instanceof Refused) return error
  const { code, name, data } = (error ?? {}) as { code?: unknown; name?: unknown; data?: unknown }
  if (isRefusal(data)) return new Refused(data.code, data.sentence)
  if (code === 'BAD_REQUEST') return new Refused('bad-input', `That isn't accepted: ${firstIssue(data)}.`)
  if (name === 'AbortError') return new Refused('device-stopped', 'The device stopped before it answered.')
  return new Refused('internal', `Something unexpected happened (${name ?? typeof error}).`)
}

function isRefusal(data: unknown): data is Refusal {
  const { code, sentence } = (data ?? {}) as { code?: unknown; sentence?: unknown }
  return typeof code === 'string' && typeof sentence === 'string'
}

function firstIssue(data: unknown): string {
  const { issues } = (data ?? {}) as { issues?: { message?: string; path?: unknown[] }[] }
  const { message = 'invalid input', path = [] } = issues?.[0] ?? {}
  return path.length > 0 ? `${path.map(String).join('.')}: ${message}` : message
}

type Contract = typeof contract

/** An event iterator is handed over as any async iterable; it ends when `signal` aborts. */
type Outcome<Output> =
  Output extends AsyncIterator<infer Event>
    ? AsyncIterable<Event> | Promise<AsyncIterable<Event>>
    : Promise<Output>

/** Inputs arrive validated, defaults filled in. A procedure without input takes the signal only. */
type Implementation<Input, Output> = unknown extends Input
  ? (signal?: AbortSignal) => Outcome<Output>
  : (input: Input, signal?: AbortSignal) => Outcome<Output>

type ApiOf<Node> =
  Node extends ContractProcedure<infer Input, infer Output, infer _Errors, infer _Meta>
    ? Implementation<InferSchemaOutput<Input>, InferSchemaInput<Output>>
    : { [Key in keyof Node]: ApiOf<Node[Key]> }

/** Everything that the contract names. */
export type LinkApi = ApiOf<Contract>

/** What only the process around a device can answer: it knows the window's address and how to end. */
export type HostApi = Pick<LinkApi, 'about' | 'windowUrl' | 'stop'>

/** What a device itself does. */
export type DeviceApi = Omit<LinkApi, keyof HostApi>

export interface DeviceOptions {
  /** The data folder; made 0700 if it is missing. */
  folder: string
  /** Multiaddrs in place of the default listeners. */
  listen?: string[]
  /** mDNS on the local network; on unless false. */
  lan?: boolean
  log?: (line: string) => void
  /** false: no libp2p at all, for one-shot commands that need no other device. */
  network?: boolean
  /** The device answers before its network is up, which waits for this; `online` says when it is. */
  networkAfter?: Promise<void>
  /** Another process has this device's keys; made anew, this one will be a device of its own. */
  onRenewed?: () => void
}

export interface Device extends DeviceApi {
  readonly id: string
  /** Multiaddrs ending in `/p2p/ID`. */
  addresses(): string[]
  /** Resolves when the network is up; rejects with `Refused` (`listen-failed`) where it can't be. */
  online(): Promise<void>
  /** Windows hear that it is about to close, and say what was typed a moment ago. */
  stopping(): void
  /** Flushes, marks the clean stop and releases the folder. */
  close(): Promise<void>
}

/** Throws `Refused` with `in-use` (naming the holder), `not-writable`, `newer-store`, `listen-failed`, … */
export type CreateDevice = (options: DeviceOptions) => Promise<Device>
