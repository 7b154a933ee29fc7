/** A message as the frames that a channel makes of it. */
import { FragmentQueue } from '../../src/node/host-queue.js'
import type { Lane } from '../../src/protocol/framing.js'

export function framesOf(lane: Lane, message: Uint8Array, fragmentBytes: number): Uint8Array[] {
  const queue = new FragmentQueue(lane, fragmentBytes)
  queue.push(message)
  const frames: Uint8Array[] = []
  for (let frame = queue.nextFrame(); frame; frame = queue.nextFrame()) frames.push(frame)
  return frames
}
