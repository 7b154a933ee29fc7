/**
 * Those who have not shown yet that they belong here: sockets before their handshake, connections of strangers. When
 * there are too many, nobody is refused at the door, where a friend can't be told from a foe; instead one goes who had
 * the time to show it and did not. Friends stay in a crowd for moments only.
 */

/** `known`: does not belong into the crowd any more. `busy`: goes only where all are. */
export type Standing = 'known' | 'busy' | 'idle'

export interface CrowdLimits {
  inAll: number
  /** Of one IPv4 address, or of one IPv6 network of 64 bits. */
  perNetwork: number
}

export interface CrowdOptions<T> extends CrowdLimits {
  judge: (one: T) => Standing
  end: (one: T) => void
}

export class Crowd<T> {
  readonly #options: CrowdOptions<T>
  /** Each in order of arrival. */
  readonly #networks = new Map<string, Set<T>>()
  #size = 0

  constructor(options: CrowdOptions<T>) {
    this.#options = options
  }

  get size(): number {
    return this.#size
  }

  has(one: T, network: string): boolean {
    return this.#networks.get(network)?.has(one) === true
  }

  /** Takes one more in; those beyond the limits go. */
  add(one: T, network: string): void {
    const members = this.#networks.get(network) ?? new Set()
    this.#networks.set(network, members)
    if (!members.has(one)) this.#size++
    members.add(one)
    const { inAll, perNetwork } = this.#options
    while (members.size > perNetwork) this.makeRoom(network, one)
    while (this.#size > inAll) this.makeRoom(this.#fullest(), one)
  }

  delete(one: T, network: string): void {
    const members = this.#networks.get(network)
    if (!members?.delete(one)) return
    this.#size--
    if (members.size === 0) this.#networks.delete(network)
  }

  /**
   * One of a network leaves: somebody who belongs there no more, else whoever has been there longest without a reason.
   * False if nobody is there but the newest.
   */
  makeRoom(network: string, newest?: T): boolean {
    let chosen: T | undefined
    for (const one of this.#networks.get(network) ?? []) {
      if (one === newest) continue
      const standing = this.#options.judge(one)
      if (standing === 'known') {
        this.delete(one, network)
        return true
      }
      if (standing === 'busy') {
        chosen ??= one
        continue
      }
      chosen = one
      break
    }
    if (chosen === undefined) return false
    this.delete(chosen, network)
    this.#options.end(chosen)
    return true
  }

  /** Of equal ones the first, so never that of the newest alone. */
  #fullest(): string {
    let fullest = { network: '', size: 0 }
    for (const [network, { size }] of this.#networks) if (size > fullest.size) fullest = { network, size }
    return fullest.network
  }
}
