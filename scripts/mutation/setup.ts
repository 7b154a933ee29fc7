import { beforeEach } from 'vitest'

/**
 * Tests that take half a second or more, which every mutant that none notices has to sit through: many cases of what
 * others show with few, large contents, and asking for time and memory, which a mutant seldom changes.
 */
const SLOW = new RegExp(
  [
    'every flipped bit',
    'can change no bit',
    '100,000 cases',
    'damaged and random deflate streams',
    'within 64 MB and a second',
    'takes little memory and time',
    'weighed once, not for ever',
    'comes in pieces, and is whole or not there',
    'taken in every order, with starts in between',
    'end in few envelopes',
    'of the largest size opens',
    'have the keys that are in the file',
    'take linear time',
  ].join('|'),
)

beforeEach(({ task, skip }) => skip(SLOW.test(task.name)))
