/** One run of a command: where its data is, how it speaks, and how it reaches a device. */
import type { Readable } from 'node:stream'
import type { CreateDevice } from '../api.js'
import type { openWindow } from '../window.js'

/** What the command line needs from the process around it. Tests hand in their own. */
export interface Surroundings {
  env: NodeJS.ProcessEnv
  stdin: Readable
  /** Resolves when the text has been handed to the system. */
  out(text: string): Promise<void>
  err(text: string): void
  createDevice: CreateDevice
  openWindow: typeof openWindow
  /** Calls back on SIGINT, SIGTERM and SIGHUP; returns how to stop listening. */
  onSignal(handler: () => void): () => void
}

export class Call {
  readonly folder: string
  readonly json: boolean
  readonly around: Surroundings

  constructor(folder: string, json: boolean, around: Surroundings) {
    this.folder = folder
    this.json = json
    this.around = around
  }

  /** The result: one JSON value, or text for people. */
  print(value: unknown, text: string): Promise<void> {
    return this.printJson(JSON.stringify(value), text)
  }

  /** The same for JSON that must not be parsed on the way: its text is the value. */
  printJson(json: string, text: string): Promise<void> {
    const line = this.json ? json : text
    return line === '' ? Promise.resolve() : this.around.out(line.endsWith('\n') ? line : `${line}\n`)
  }

  /** Something that people want to know while they wait. */
  note(text: string): void {
    this.around.err(`${text}\n`)
  }
}

/** Makes a handler what the argument parser calls. */
export type Act = <Options, Args extends unknown[]>(
  // biome-ignore lint/suspicious/noConfusingVoidType: most handlers return nothing
  handler: (call: Call, options: Options, ...args: Args) => Promise<number | void>,
) => (...raw: unknown[]) => Promise<void>
