/** A device as a process of its own, with the young heap that the program has before it loads anything large. */
import { keepHeapSmall } from '../../dist/src/node/heap.js'

keepHeapSmall()
await import('./device.mjs')
