/** Loaded before the program (`--import`), it makes a store that doesn't flush: the bug that power cuts must show. */
import { ClassicLevel } from 'classic-level'

for (const name of ['_put', '_del', '_batch']) {
  const original = ClassicLevel.prototype[name]
  ClassicLevel.prototype[name] = function (...args) {
    const options = args.pop()
    return original.call(this, ...args, { ...options, sync: false })
  }
}
