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

/** Of the whole simulator, abstract: worlds that are hard to end. */
export const FULL_PINNED: readonly (readonly [seed: number, what: string])[] = [
  [36, 'a device and two copies of it'],
  [54, 'nobody is left but a device and its own copy'],
  [126, 'two devices and a copy of each'],
  [50794, 'states by mail of a branch that the log had left stood under the claims of the other'],
  [51454, 'a device and four copies of it, one of them online at a time'],
  [60210, 'a relay kept mail back and told of no end: what was held waited for ever'],
  [60620, 'states by mail reached behind a cut that was known already, and counted as claimed'],
]
