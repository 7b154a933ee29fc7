// @ts-check
/** What package.json and package-lock.json must look like. Functions of their text, so that a test can break it. */

const EXACT = /^\d+\.\d+\.\d+(-[\w.]+)?$/
const EXACT_ALIAS = /^npm:(@[\w.-]+\/)?[\w.-]+@\d+\.\d+\.\d+$/
const KINDS = ['dependencies', 'devDependencies', 'optionalDependencies', 'peerDependencies']
/** npm runs these while it installs; ours must install with `--ignore-scripts`. */
const INSTALL_SCRIPTS = ['preinstall', 'install', 'postinstall', 'prepare', 'prepublish']

/**
 * @param {string} packageText
 * @param {string} lockText
 * @returns {string[]} One sentence for each thing that is wrong.
 */
export function checkPackages(packageText, lockText) {
  const own = JSON.parse(packageText)
  const lock = JSON.parse(lockText)
  return [...checkPins(own), ...checkScripts(own), ...checkLock(own, lock, lockText)]
}

/** @param {any} own */
function checkPins(own) {
  const pins = KINDS.flatMap((kind) => Object.entries(own[kind] ?? {}))
  // An override may be for one package's own dependency.
  const overrides = Object.entries(own.overrides ?? {}).flatMap(([name, version]) =>
    typeof version === 'object' && version !== null ? Object.entries(version) : [[name, version]],
  )
  return [...pins, ...overrides].flatMap(([name, version]) =>
    EXACT.test(String(version)) || EXACT_ALIAS.test(String(version))
      ? []
      : [`package.json asks for ${name} ${JSON.stringify(version)}: give one exact version.`],
  )
}

/** @param {any} own */
function checkScripts(own) {
  return INSTALL_SCRIPTS.filter((name) => own.scripts?.[name]).map(
    (name) => `package.json has a script "${name}": nothing of ours may run while npm installs.`,
  )
}

/**
 * @param {any} own
 * @param {any} lock
 * @param {string} lockText
 */
function checkLock(own, lock, lockText) {
  const wrong = []
  const packages = Object.entries(lock.packages ?? {}).filter(([path]) => path !== '')
  const names = new Set(packages.map(([path]) => path.replace(/^.*node_modules\//, '')))
  for (const [path, entry] of packages) {
    if (entry.resolved) wrong.push(`package-lock.json says where ${path} comes from: see .npmrc.`)
    if (entry.link) wrong.push(`package-lock.json links ${path} to a folder.`)
    // A registry may lack what is for other platforms; its entry then has a version and no checksum.
    const isElsewhere = entry.optional && entry.os
    if (!entry.integrity && !isElsewhere && !entry.inBundle && !entry.link) {
      wrong.push(`package-lock.json has no checksum for ${path}.`)
    }
    // Without them `npm ci` refuses the whole lock file, here and everywhere.
    const lost = Object.keys(entry.optionalDependencies ?? {}).filter((name) => !names.has(name))
    for (const name of lost) wrong.push(`package-lock.json lacks ${name}, which ${path} may want.`)
  }
  if (/"(https?|git\+\w+|ssh|file):[^"]*\.(tgz|git)/.test(lockText))
    wrong.push('package-lock.json has an address.')
  for (const kind of KINDS) {
    const here = JSON.stringify(Object.entries(own[kind] ?? {}).sort())
    const there = JSON.stringify(Object.entries(lock.packages?.['']?.[kind] ?? {}).sort())
    if (here !== there)
      wrong.push(`package-lock.json doesn't know the ${kind} of package.json: run \`npm install\`.`)
  }
  return wrong
}
