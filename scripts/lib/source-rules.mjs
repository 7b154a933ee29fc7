// @ts-check
/**
 * The rules about sources that no linter knows: who may import what (the dependency rule of
 * ARCHITECTURE.md), and what a pure room may not call. They are functions of a map from path to text,
 * so that a test can plant a violation; `readSources` gives the real one.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, posix, relative } from 'node:path'
import ts from 'typescript'

/** @typedef {{ file: string, line: number, sentence: string }} Violation */
/** @typedef {{ specifier: string, line: number, isType: boolean, target: string | undefined }} Import */
/** @typedef {Map<string, string>} Sources Path from the root, with slashes → text. */

/** Those who know libp2p. Everything else of a device talks to the host. */
const NETWORK_FILES = /^src\/node\/(host[^/]*|frames|lan|peer-id|polyfill)\.ts$/
const LIBP2P = ['libp2p', '@libp2p/*', '@chainsafe/*', '@multiformats/*', 'it-*', 'uint8arraylist']
const STORAGE = ['level', '*-level']

/** Opens what is sealed to devices or under an epoch key. A relay never reaches one, by whatever path. */
const OPENERS = /^src\/protocol\/(epoch-keys|roster-open|[^/]*envelope[^/]*)\.ts$/

/**
 * The rooms, innermost first; the first that fits a path is its room. `ours`: what of ours it may import
 * besides itself. `packages`: an exhaustive list; without one, any package but the `not` ones. `types`:
 * for `import type` only, of ours or of a package.
 */
const ROOMS = [
  {
    room: 'src/protocol/',
    ours: [],
    packages: ['@noble/*', 'yjs', '@bufbuild/protobuf', 'fflate'],
    sentence:
      'src/protocol imports nothing of ours, no node:*, and of packages only noble, yjs, fflate and the codecs',
  },
  { room: 'src/cases/', ours: [], packages: ['yjs'], sentence: 'src/cases imports yjs only' },
  {
    room: 'src/store/',
    ours: [/^src\/protocol\//, /^src\/cases\//],
    packages: ['@noble/*', 'yjs', '@bufbuild/protobuf'],
    types: ['abstract-level'],
    sentence:
      'src/store imports src/protocol, src/cases, noble, yjs, the codecs and the types of abstract-level; its database is handed in',
  },
  {
    room: NETWORK_FILES,
    ours: [/^src\//],
    sentence: 'src/node imports nothing of ours outside src',
  },
  {
    // The one door from the command line to the relay, which is loaded only for `kartoteka relay`.
    room: /^src\/node\/cli\/relay\.ts$/,
    ours: [/^src\//, /^relay\/main\.ts$/],
    not: LIBP2P,
    sentence: 'src/node/cli/relay.ts imports of the relay only relay/main.ts',
  },
  {
    room: 'src/node/',
    ours: [/^src\//],
    not: LIBP2P,
    sentence:
      'src/node imports nothing of ours outside src, and of it only host*.ts, frames.ts, lan.ts, peer-id.ts and polyfill.ts know libp2p',
  },
  {
    room: 'relay/',
    ours: [/^src\/protocol\//, NETWORK_FILES, /^src\/node\/natives\.ts$/],
    not: ['yjs'],
    sentence:
      'relay imports src/protocol and the network files of src/node; it knows no cases and no store of a device',
  },
  { room: /^ui\/vite\.config\.ts$/, ours: [/^ui\//], sentence: 'ui/vite.config.ts imports ui only' },
  {
    room: 'ui/',
    ours: [/^src\/cases\//],
    types: [/^src\/node\/contract\.ts$/],
    not: ['node:*', 'ws', ...LIBP2P, ...STORAGE],
    sentence: 'ui sees src/cases and the types of src/node/contract.ts, and nothing else of the node',
  },
]

/** Time, chance and the outside world are handed in. */
const AMBIENT = new Set([
  'Buffer',
  'console',
  'crypto',
  'fetch',
  'global',
  'performance',
  'process',
  'queueMicrotask',
  'setImmediate',
  'setInterval',
  'setTimeout',
])
/** What generated code takes from `globalThis`, because a message may have such a name. */
const LANGUAGE = new Set(['Array', 'Error', 'Number', 'Object', 'String', 'Uint8Array'])
/** Randomness of libraries that takes no source. */
const LIBRARY_RANDOMNESS = new Set([
  'keygen',
  'managedNonce',
  'randomBytes',
  'randomPrivateKey',
  'randomSecretKey',
])
const PURE = /^src\/(protocol|cases|store)\//
/** A step of the protocol is over when it returns. */
const SYNCHRONOUS = /^src\/protocol\//

/**
 * @param {string} root
 * @returns {Sources}
 */
export function readSources(root) {
  const sources = new Map()
  for (const room of ['src', 'relay', 'ui'].filter((name) => existsSync(join(root, name)))) {
    for (const entry of readdirSync(join(root, room), { recursive: true, withFileTypes: true })) {
      if (!entry.isFile() || !/\.(ts|tsx|mts|js|mjs)$/.test(entry.name)) continue
      const full = join(entry.parentPath, entry.name)
      const path = relative(root, full).replaceAll('\\', '/')
      if (!path.includes('node_modules/')) sources.set(path, readFileSync(full, 'utf8'))
    }
  }
  return sources
}

/**
 * Everything a file imports, in any form: import, export from, import(), require(), import types.
 *
 * @param {string} file
 * @param {Sources} sources
 * @returns {Import[]}
 */
export function importsOf(file, sources) {
  const text = sources.get(file) ?? ''
  const known = parsed.get(file)
  const entry = known?.text === text ? known : { text, imports: importsIn(parse(file, sources)) }
  parsed.set(file, entry)
  return entry.imports.map((found) => ({ ...found, target: resolve(file, found.specifier, sources) }))
}

/**
 * A file is parsed once, however often it is asked about.
 *
 * @type {Map<string, { text: string, imports: Omit<Import, 'target'>[] }>}
 */
const parsed = new Map()

/** @param {ts.SourceFile} tree */
function importsIn(tree) {
  /** @type {Omit<Import, 'target'>[]} */
  const found = []
  visit(tree)
  return found

  /** @param {ts.Node} node */
  function visit(node) {
    if (ts.isImportDeclaration(node)) add(node.moduleSpecifier, node.importClause?.isTypeOnly)
    else if (ts.isExportDeclaration(node) && node.moduleSpecifier) add(node.moduleSpecifier, node.isTypeOnly)
    else if (ts.isExternalModuleReference(node)) add(node.expression)
    else if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument))
      add(node.argument.literal, true)
    else if (ts.isCallExpression(node) && isImportCall(node) && node.arguments[0]) add(node.arguments[0])
    ts.forEachChild(node, visit)
  }

  /**
   * @param {ts.Node} literal
   * @param {boolean} [isType]
   */
  function add(literal, isType = false) {
    // A computed name can't be judged; no rule of ours needs one.
    const specifier = ts.isStringLiteralLike(literal) ? literal.text : literal.getText(tree)
    found.push({ specifier, isType, line: lineOf(tree, literal) })
  }
}

/**
 * @param {Sources} sources
 * @returns {Violation[]}
 */
export function checkImports(sources) {
  const graph = new Map([...sources.keys()].map((file) => [file, importsOf(file, sources)]))
  return [...checkRooms(graph), ...checkBlindness(graph), ...checkCycles(graph)]
}

/** @param {Map<string, Import[]>} graph */
function checkRooms(graph) {
  /** @type {Violation[]} */
  const violations = []
  for (const [file, imports] of graph) {
    const rule = ROOMS.find(({ room }) => isIn(room, file))
    const home = ROOMS.findLast(({ room }) => typeof room === 'string' && file.startsWith(room))?.room
    if (!rule) {
      violations.push({ file, line: 1, sentence: 'this file lies in no room that the dependency rule knows' })
      continue
    }
    for (const { specifier, isType, target, line } of imports) {
      const allowed = specifier.startsWith('.')
        ? isIn(home ?? '', target ?? '') ||
          isListed(rule.ours, target) ||
          (isType && isListed(rule.types, target))
        : (rule.packages ? isListed(rule.packages, specifier) : !isListed(rule.not, specifier)) ||
          (isType && isListed(rule.types, specifier))
      if (!allowed)
        violations.push({ file, line, sentence: `imports ${target ?? specifier}: ${rule.sentence}` })
    }
  }
  return violations
}

/** @param {Map<string, Import[]>} graph */
function checkBlindness(graph) {
  /** @type {Violation[]} */
  const violations = []
  for (const file of graph.keys()) {
    if (!file.startsWith('relay/')) continue
    const path = pathTo(graph, file, (reached) => OPENERS.test(reached))
    if (!path) continue
    const line = graph.get(file)?.find(({ target }) => target === path[1])?.line ?? 1
    const sentence = `a relay must never reach a module that opens envelopes: ${path.join(' → ')}`
    violations.push({ file, line, sentence })
  }
  return violations
}

/**
 * Shortest chain of imports from a file to one that fits.
 *
 * @param {Map<string, Import[]>} graph
 * @param {string} start
 * @param {(file: string) => boolean} fits
 * @returns {string[] | undefined}
 */
function pathTo(graph, start, fits) {
  const seen = new Set([start])
  const queue = [[start]]
  for (const path of queue) {
    for (const { target } of graph.get(path.at(-1) ?? '') ?? []) {
      if (!target || seen.has(target)) continue
      seen.add(target)
      queue.push([...path, target])
      if (fits(target)) return queue.at(-1)
    }
  }
  return undefined
}

/**
 * Imports of types alone make no cycle: they are gone when the program runs.
 *
 * @param {Map<string, Import[]>} whole
 */
function checkCycles(whole) {
  const graph = new Map([...whole].map(([file, imports]) => [file, imports.filter(({ isType }) => !isType)]))
  /** @type {Violation[]} */
  const violations = []
  const reported = new Set()
  for (const file of [...graph.keys()].sort()) {
    if (reported.has(file)) continue
    const path = pathTo(
      graph,
      file,
      (reached) => graph.get(reached)?.some(({ target }) => target === file) ?? false,
    )
    const own = graph.get(file)?.some(({ target }) => target === file)
    if (!path && !own) continue
    for (const member of path ?? [file]) reported.add(member)
    violations.push({
      file,
      line: 1,
      sentence: `circular import: ${[...(path ?? [file]), file].join(' → ')}`,
    })
  }
  return violations
}

/**
 * What the pure rooms call of the world around them.
 *
 * @param {Sources} sources
 * @returns {Violation[]}
 */
export function checkAmbientCalls(sources) {
  return [...sources.keys()]
    .filter((file) => PURE.test(file))
    .flatMap((file) => ambientCallsOf(file, sources))
}

/**
 * @param {string} file
 * @param {Sources} sources
 */
function ambientCallsOf(file, sources) {
  /** @type {Violation[]} */
  const found = []
  const tree = parse(file, sources)
  const isSynchronous = SYNCHRONOUS.test(file)
  visit(tree)
  return found

  /** @param {ts.Node} node */
  function visit(node) {
    const sentence = ambientUse(node) ?? (isSynchronous ? asyncUse(node) : undefined)
    if (sentence) found.push({ file, line: lineOf(tree, node), sentence })
    ts.forEachChild(node, visit)
  }
}

/** @param {ts.Node} node */
function ambientUse(node) {
  const room = 'the core takes time, chance and the outside world from its caller'
  const isUse = ts.isIdentifier(node) && !isPropertyName(node) && !ts.isTypeReferenceNode(node.parent)
  if (isUse && AMBIENT.has(node.text)) return `uses ${node.text}: ${room}`
  if (ts.isIdentifier(node) && node.text === 'globalThis' && !isBehindDot(node))
    return `uses globalThis: ${room}`
  if (ts.isPropertyAccessExpression(node)) {
    const text = `${node.expression.getText()}.${node.name.text}`
    if (text === 'Date.now' || text === 'Math.random') return `uses ${text}: ${room}`
    if (node.expression.getText() === 'globalThis' && !LANGUAGE.has(node.name.text))
      return `uses ${text}: ${room}`
    if (LIBRARY_RANDOMNESS.has(node.name.text)) return `uses ${text}: ${room}`
  }
  if (ts.isImportSpecifier(node) && LIBRARY_RANDOMNESS.has((node.propertyName ?? node.name).text)) {
    return `imports ${(node.propertyName ?? node.name).text}: ${room}`
  }
  const isBare = (ts.isNewExpression(node) || ts.isCallExpression(node)) && !node.arguments?.length
  if (isBare && node.expression.getText() === 'Date') return `asks for the present Date: ${room}`
  return undefined
}

/** @param {ts.Node} node */
function asyncUse(node) {
  const rule = 'src/protocol is synchronous'
  if (node.kind === ts.SyntaxKind.AsyncKeyword) return `has an async function: ${rule}`
  if (ts.isAwaitExpression(node) || (ts.isForOfStatement(node) && node.awaitModifier))
    return `awaits: ${rule}`
  if (ts.isIdentifier(node) && node.text === 'Promise' && !isPropertyName(node))
    return `uses Promise: ${rule}`
  // A document draws its client id by chance.
  if (ts.isNewExpression(node) && /(^|\.)Doc$/.test(node.expression.getText())) {
    return 'makes a Y.Doc: src/protocol uses the update functions of yjs only'
  }
  return undefined
}

/** `globalThis.Array`, judged by its name, against `globalThis` itself. */
function isBehindDot(/** @type {ts.Identifier} */ { parent }) {
  return ts.isPropertyAccessExpression(parent) || ts.isQualifiedName(parent)
}

/** `a.process`, `{ process: 1 }`, `interface { process(): void }`: names, not uses of the global. */
function isPropertyName(/** @type {ts.Identifier} */ node) {
  const { parent } = node
  if (ts.isShorthandPropertyAssignment(parent)) return false
  if (ts.isPropertyAccessExpression(parent) || ts.isPropertyAssignment(parent)) return parent.name === node
  if (ts.isQualifiedName(parent)) return parent.right === node
  return (
    ts.isPropertySignature(parent) ||
    ts.isPropertyDeclaration(parent) ||
    ts.isMethodSignature(parent) ||
    ts.isMethodDeclaration(parent) ||
    ts.isGetAccessorDeclaration(parent) ||
    ts.isSetAccessorDeclaration(parent)
  )
}

/** @param {ts.CallExpression} node */
function isImportCall({ expression }) {
  return (
    expression.kind === ts.SyntaxKind.ImportKeyword ||
    (ts.isIdentifier(expression) && (expression.text === 'require' || expression.text === 'createRequire'))
  )
}

/**
 * A relative specifier → the source behind it, as the compiler finds it.
 *
 * @param {string} file
 * @param {string} specifier
 * @param {Sources} sources
 */
function resolve(file, specifier, sources) {
  if (!specifier.startsWith('.')) return undefined
  const path = posix.normalize(posix.join(dirname(file), specifier))
  const bare = path.replace(/\.js$/, '')
  const tries = [path, `${bare}.ts`, `${bare}.tsx`, `${path}/index.ts`]
  // Outside the sources (a style sheet, a test): its plain path.
  return tries.find((name) => sources.has(name)) ?? path
}

/**
 * @param {string | RegExp} room
 * @param {string} path
 */
function isIn(room, path) {
  if (typeof room !== 'string') return room.test(path)
  return room !== '' && path.startsWith(room)
}

/**
 * Patterns of paths, or of packages: `@libp2p/*` is all of a scope, `level` also its subpaths.
 *
 * @param {readonly (string | RegExp)[] | undefined} list
 * @param {string | undefined} name
 */
function isListed(list, name) {
  if (!list || name === undefined) return false
  return list.some((item) => {
    if (typeof item !== 'string') return item.test(name)
    if (!item.includes('*')) return name === item || name.startsWith(`${item}/`)
    const [before = '', after = ''] = item.split('*')
    const isScoped = after !== '' || !before.endsWith('-')
    const subject = isScoped && after !== '' ? (name.split('/')[0] ?? name) : name
    return subject.startsWith(before) && subject.endsWith(after)
  })
}

/**
 * @param {string} file
 * @param {Sources} sources
 */
function parse(file, sources) {
  return ts.createSourceFile(file, sources.get(file) ?? '', ts.ScriptTarget.Latest, true)
}

/**
 * @param {ts.SourceFile} tree
 * @param {ts.Node} node
 */
function lineOf(tree, node) {
  return tree.getLineAndCharacterOfPosition(node.getStart(tree)).line + 1
}
