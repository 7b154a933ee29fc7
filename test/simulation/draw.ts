/** What may happen in a world of the whole simulator, drawn from its seed. */
import { seeded } from '../support/random.js'

/** Where everybody meets in the end. `alone`: one device at a time with the relays, never two together. */
export type Ending = 'direct' | 'alone' | 'both'

/**
 * What a world suffers most from. `apart`: two places that hear nothing of each other for long, with copies of one
 * device in both. `handovers`: whole states that flow while their giver goes on writing, and that are broken off.
 * `doubted`: whole states that are broken off, of a branch that nobody holds afterwards, while the log is forked and cut.
 * `rot`: stored rows that don't open any more, or are gone; `rotOfClaims`: none of them is a case's own; `rotBehind`: all of
 * a case, of which the first that comes is the copy of a device that is behind; `rotByMail`: of devices that never meet.
 */
export type Strain =
  | 'none'
  | 'forks'
  | 'forksByMail'
  | 'states'
  | 'losses'
  | 'copies'
  | 'apart'
  | 'handovers'
  | 'doubted'
  | 'rot'
  | 'rotOfClaims'
  | 'rotBehind'
  | 'rotByMail'
  | 'putBack'

export interface Draw {
  strain: Strain
  devices: number
  relays: number
  direct: boolean
  rollbacks: boolean
  twins: boolean
  deaths: boolean
  evil: boolean
  erasing: boolean
  dropping: boolean
  later: boolean
  skew: boolean
  quotas: boolean
  rot: 'nothing' | 'claims' | 'everything'
  ending: Ending
}

/** What may happen in this world; from a generator of its own, so that it shifts nothing else. */
export function drawOf(seed: number, strain: Strain = seeded(seed ^ 0x57a1).pick(STRAINS)): Draw {
  return { ...plainDrawOf(seed), ...STRAINED[strain], strain }
}

const STRAINS: Strain[] = ['none', 'none', 'forks', 'forksByMail', 'states', 'losses', 'apart', 'handovers']
/** Never drawn. Whoever holds something of a case is asked for it: so all of them are there in the end. */
const ROTTING: Partial<Draw> = {
  rollbacks: false,
  twins: false,
  deaths: false,
  direct: true,
  ending: 'direct',
}
const STRAINED: Record<Strain, Partial<Draw>> = {
  none: {},
  forks: { rollbacks: true, twins: true, erasing: true, dropping: true, direct: true, ending: 'direct' },
  forksByMail: { rollbacks: true, twins: false, relays: 1, direct: false, ending: 'alone' },
  states: { direct: true, dropping: true, ending: 'direct' },
  losses: {},
  // Never drawn, only asked for: copies that run beside their originals become devices of their own.
  copies: { twins: true, direct: true, ending: 'direct' },
  apart: {
    devices: 3,
    rollbacks: true,
    twins: true,
    deaths: false,
    relays: 0,
    direct: true,
    ending: 'direct',
  },
  handovers: { direct: true, dropping: true, relays: 0, ending: 'direct' },
  // Never drawn either: a script, and little that happens after it.
  doubted: {
    devices: 3,
    rollbacks: true,
    twins: false,
    deaths: false,
    relays: 0,
    direct: true,
    ending: 'direct',
  },
  rot: { ...ROTTING, rot: 'everything' },
  rotOfClaims: { ...ROTTING, rot: 'claims' },
  rotByMail: { ...ROTTING, relays: 1, direct: false, ending: 'alone', rot: 'everything' },
  // A script, by mail; what follows is short.
  putBack: {
    devices: 3,
    rollbacks: true,
    twins: false,
    deaths: false,
    relays: 1,
    direct: true,
    ending: 'alone',
  },
  rotBehind: { ...ROTTING, devices: 3, relays: 0, dropping: true, rot: 'everything' },
}

function plainDrawOf(seed: number): Omit<Draw, 'strain'> {
  const random = seeded(seed ^ 0x5eed)
  const relays = random.pick([0, 1, 1, 1, 2, 2])
  const direct = relays === 0 || random() < 0.8
  const twins = random() < 0.3
  const endings: Ending[] = relays === 0 ? ['direct'] : direct ? ['direct', 'alone', 'both'] : ['alone']
  return {
    devices: random.pick([2, 2, 3, 3, 4, 5]),
    relays,
    direct,
    twins,
    rollbacks: random() < 0.5,
    deaths: random() < 0.5,
    evil: random() < 0.6,
    erasing: random() < 0.4,
    dropping: random() < 0.4,
    later: random() < 0.3,
    skew: random() < 0.5,
    quotas: random() < 0.3,
    rot: 'nothing',
    ending: random.pick(endings),
  }
}
