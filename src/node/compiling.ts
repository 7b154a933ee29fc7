/**
 * Less compiling. V8 compiles a function anew, on threads of its own, once so many bytes of its code have run, and
 * writes much of what it calls out within it. A device works in bursts, which are mostly over by then: compiling was
 * two fifths of the CPU time of a first sync of 1,000 cases, and a quarter of that of typing 20,000 letters at once, on
 * the very cores that the work needs.
 */
import { setFlagsFromString } from 'node:v8'

/**
 * Three times what V8 would wait for by itself: what is worth compiling in a long sync still is, soon enough. The V8 of
 * Node 20 counts bytes of code that ran, later ones how often a function did.
 */
const LATER =
  Number.parseInt(process.versions.v8, 10) < 12
    ? '--interrupt-budget=200000'
    : '--invocation-count-for-turbofan=9000'
/** So much code of other functions goes into one at most, very small ones aside; V8's own bound is 920. */
const INLINED_BYTES = 100

/** For the whole process; to be called once, before anything large is loaded. */
export function compileLess(): void {
  setFlagsFromString(LATER)
  setFlagsFromString(`--max-inlined-bytecode-size-cumulative=${INLINED_BYTES}`)
}
