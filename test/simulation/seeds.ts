import type { Strain } from './draw.js'

/** Seeds that once failed, with what they showed. They stay for ever. */
export const PINNED: readonly (readonly [seed: number, what: string])[] = [
  [7, 'a refused change asked for comparison without end'],
  [48, 'a device waited for an author that had lost its own changes'],
  [49, 'the same, with a log that was continued after a restored folder'],
  [176, 'a parked change was not tried again when a transfer brought its base'],
  [209, 'the same, twice in one case'],
  [390, 'a log that was cut before anything of it was held had two digests'],
  [399, 'a base that is gone with every device that held it'],
  [1919, 'whole states were offered for a log that its own device had left'],
  [2166, 'the same, while another transfer ran'],
  [10216, 'a transfer stood still after a HELLO in its midst'],
  [20241, 'the same'],
]

/** The same of the simulator with relays. */
export const MAIL_PINNED: readonly (readonly [seed: number, what: string])[] = [
  [4, 'a device that relied on what another had left deposited the same without end'],
]

/** Runs seeds in order and returns the first that fails, with its problems, or undefined. */
export async function firstFailure(
  from: number,
  count: number,
  run: (seed: number) => Promise<{ seed: number; problems: string[]; operations: string[] }>,
): Promise<{ seed: number; problems: string[]; operations: string[] } | undefined> {
  for (let seed = from; seed < from + count; seed++) {
    const result = await run(seed)
    if (result.problems.length > 0) return result
  }
  return undefined
}

/** Of the whole simulator, abstract: worlds that are hard to end, or were. */
export const FULL_PINNED: readonly (readonly [seed: number, strain: Strain, what: string])[] = [
  [36, 'none', 'a device and two copies of it'],
  [54, 'none', 'nobody is left but a device and its own copy'],
  [126, 'none', 'two devices and a copy of each'],
  [50794, 'none', 'states by mail of a branch that the log had left stood under the claims of the other'],
  [51454, 'none', 'a device and four copies of it, one of them online at a time'],
  [60210, 'none', 'a relay kept mail back and told of no end: what was held waited for ever'],
  [60620, 'none', 'states by mail reached behind a cut that was known already, and counted as claimed'],
  [36, 'forks', 'claims that a HELLO had made forgotten were not told again'],
  [102, 'forks', 'two copies of one device gave changes of one number to both sides of a connection'],
  [233, 'forks', 'a doubt about a log of which nothing was held was never given up'],
  [1176, 'forks', 'what was asked for by NEED was read, overtaken by an ACK, and not read again'],
  [1206, 'forks', 'a log was closed between HELLO and comparing, and both waited for claims'],
  [51606, 'forksByMail', 'a cut of a branch that nobody held any more was refused, and healing never ended'],
  [52228, 'none', 'whole states that the cut of who took them contradicts were given and taken without end'],
  [20073, 'forks', 'cases of a branch that the receiver does not hold came for the sake of another log'],
  [20163, 'forksByMail', 'words by mail name no claim of a log of which their teller knows only the cut'],
  [7052, 'handovers', 'what a neighbour didn’t give was given instead in one message every two seconds'],
  [3, 'doubted', 'a cut ended the doubt about a branch that nobody else held'],
  [5, 'doubted', 'the same, of a doubt that reached beyond the cut'],
  [91018, 'doubted', 'a change that stood on two branches was looked for on the one where it was seen first'],
  [7100, 'handovers', 'a doubt of a transfer that broke off was not looked at until the next start'],
  [1274, 'forksByMail', 'whole states were adopted on another branch than the one that they went on'],
  [34, 'forksByMail', 'two words of a restored device had one number, and took turns'],
  [117, 'states', 'a doubt was contradicted only beyond what was held'],
  [4076, 'none', 'a live change overtook the answer to NEED, and was not asked for again'],
  [
    50300,
    'handovers',
    'what was due in the moment that a flush ended waited for another one that nobody began',
  ],
  [414, 'rot', 'what was let go took the last of a case that had rotted unnoticed'],
  [431, 'rot', 'the same'],
  [910158, 'rot', 'who had erased a case before anybody else knew of it lost the last word of that end'],
  [
    50479,
    'forksByMail',
    'whole states held content of another branch of the log that their taker went on in, and nothing showed it',
  ],
  [920018, 'rot', 'what was found of a case was there when one of its id had begun anew, and ended'],
]
