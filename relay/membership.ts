/** Which practices a key belongs to, for all practices of this relay: asked before a circuit is granted. */
import { toHex } from '../src/protocol/bytes.js'

export class Membership {
  private readonly members = new Map<string, readonly string[]>()
  private readonly practicesOf = new Map<string, Set<string>>()

  constructor(practices: Iterable<{ practice: Uint8Array; members: readonly Uint8Array[] }>) {
    for (const { practice, members } of practices) this.set(practice, members)
  }

  /** The current members; none: the practice is gone. */
  set(practice: Uint8Array, keys: readonly Uint8Array[]): void {
    const name = toHex(practice)
    for (const member of this.members.get(name) ?? []) {
      const practices = this.practicesOf.get(member)
      practices?.delete(name)
      if (practices?.size === 0) this.practicesOf.delete(member)
    }
    const names = keys.map(toHex)
    if (names.length > 0) this.members.set(name, names)
    else this.members.delete(name)
    for (const member of names) {
      const practices = this.practicesOf.get(member) ?? new Set()
      this.practicesOf.set(member, practices.add(name))
    }
  }

  has(key: Uint8Array): boolean {
    return this.practicesOf.has(toHex(key))
  }

  share(a: Uint8Array, b: Uint8Array): boolean {
    const theirs = this.practicesOf.get(toHex(b))
    if (!theirs) return false
    return [...(this.practicesOf.get(toHex(a)) ?? [])].some((practice) => theirs.has(practice))
  }
}
