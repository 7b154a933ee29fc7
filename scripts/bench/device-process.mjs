/** A device as a process of its own, with V8 as the program sets it before it loads anything large. */
import { compileLess } from '../../dist/src/node/compiling.js'
import { keepHeapSmall } from '../../dist/src/node/heap.js'

keepHeapSmall()
compileLess()
await import('./device.mjs')
