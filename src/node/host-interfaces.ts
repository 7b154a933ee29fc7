/** Which network interfaces this computer has, and when that changes: after sleep, a new network, a cable. */
import { networkInterfaces } from 'node:os'

/** How often the list is compared. The system tells nobody of a change, and asking costs microseconds. */
const INTERFACES_INTERVAL_MS = 5_000

/** Calls back after each change, until the function that is returned is called. Keeps no process alive. */
export function watchInterfaces(changed: () => void): () => void {
  let interfaces = describeInterfaces()
  const watch = setInterval(() => {
    const now = describeInterfaces()
    if (now === interfaces) return
    interfaces = now
    changed()
  }, INTERFACES_INTERVAL_MS)
  watch.unref()
  return () => clearInterval(watch)
}

function describeInterfaces(): string {
  try {
    return JSON.stringify(
      Object.entries(networkInterfaces()).map(([name, all]) => [name, all?.map((each) => each.address)]),
    )
  } catch {
    return ''
  }
}
