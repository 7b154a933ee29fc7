#!/usr/bin/env node
/**
 * The program: dist/program/node/cli.js is a copy of this file. It loads the bundled files beside it, with what V8
 * made of them when they were built (code-cache.mjs), so that a start neither parses nor compiles them. Where that
 * was made by another Node it is passed over.
 */
'use strict'
const { readFileSync } = require('node:fs')
const { dirname, join } = require('node:path')
const { constants, Script } = require('node:vm')

/** By name; what is exported here is for code-cache.mjs. */
const scripts = new Map()
const modules = new Map()

function load(name) {
  const known = modules.get(name)
  if (known) return known.exports
  const module = { exports: {} }
  modules.set(name, module)
  const path = join(__dirname, name)
  const script = new Script(readFileSync(path, 'latin1'), {
    filename: path,
    cachedData: cacheOf(path),
    importModuleDynamically: constants.USE_MAIN_CONTEXT_DEFAULT_LOADER,
  })
  scripts.set(name, script)
  script.runInThisContext()(module.exports, requireFrom, module, path, dirname(path))
  return module.exports
}

const requireFrom = (id) => (id.startsWith('./') ? load(id.slice(2)) : require(id))

function cacheOf(path) {
  try {
    return readFileSync(`${path}.cache`)
  } catch {
    return undefined
  }
}

module.exports = { scripts }
load('main.cjs')
