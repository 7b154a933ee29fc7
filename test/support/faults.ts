/**
 * How many processes are killed and how often the power fails in a run of all tests, or in CI where that has more. Each
 * test takes its own number from here; `test/house/faults.test.ts` holds their sums against the goal of docs/proof.md.
 */
const isCi = process.env.CI !== undefined
const number = (name: string, usual: number) => Number(process.env[name] ?? usual)

/** kill −9. */
export const KILLS = {
  /** Of each kind: import, typing, merging what is stored. */
  store: number('KARTOTEKA_STORE_KILLS', isCi ? 22 : 4),
  /** Of each kind: a first sync by changes, and by whole states. */
  sync: number('KARTOTEKA_KILLS', 20),
  /** Of a relay that takes deposits. */
  relay: number('KARTOTEKA_RELAY_KILLS', isCi ? 30 : 10),
  /** While commands edit. */
  commands: 50,
  /** Of devices that both type. */
  restarts: 14,
}

/** Power cuts of a device, and of a relay. */
export const CUTS = {
  store: number('KARTOTEKA_STORE_CUTS', isCi ? 30 : 4),
  relay: number('KARTOTEKA_RELAY_CUTS', isCi ? 20 : 4),
}

export const killsOf = ({ store, sync, relay, commands, restarts }: typeof KILLS) =>
  3 * store + 2 * sync + relay + commands + restarts
export const cutsOf = ({ store, relay }: typeof CUTS) => store + relay
