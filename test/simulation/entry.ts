/** All simulators with real cases, for a bundle. */
export { simulateFull } from './full-sim.js'
export { simulateJotting } from './jotting-sim.js'
export { simulateMail } from './mail-sim.js'
export { simulate } from './sim.js'
