/** Damaged cases that nobody can give: the sentences of the device's log. */

/** How a damaged case ended, and what is said of it. */
export const ENDED = {
  lost: ['case-lost', 'A damaged case could not be read any more, and no other device could give it.'],
  renamed: [
    'case-found',
    'A damaged case was put together anew. Look through it: parts of it may be missing.',
  ],
  waiting: [
    'case-waiting',
    'Something was written in a case that was damaged, and can’t be shown here: what it builds on is missing. Look for that case on your other devices.',
  ],
} as const
