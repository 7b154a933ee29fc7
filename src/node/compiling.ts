/**
 * Less compiling. V8 compiles a function anew, on threads of its own, once so many bytes of its code have run. A
 * device works in short bursts, which are mostly over by then: compiling was two fifths of the CPU time of a first
 * sync of 1,000 cases, on the very cores that the sync needs.
 */
import { setFlagsFromString } from 'node:v8'

/** Six times what V8 would wait for by itself: what is worth compiling in a long sync still is, soon enough. */
const RUN_BYTES = 400_000

/** For the whole process; to be called once, before anything large is loaded. */
export function compileLate(): void {
  setFlagsFromString(`--interrupt-budget=${RUN_BYTES}`)
}
