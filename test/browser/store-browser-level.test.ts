/** The store and its suite in a real browser, on browser-level: over IndexedDB and the portable natives. */
import { existsSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { fileURLToPath } from 'node:url'
import { chromium, type Page } from '@playwright/test'
import { afterAll, describe, expect, it } from 'vitest'
import { bundle } from '../support/bundle.js'

const executablePath = process.env.KARTOTEKA_CHROMIUM ?? '/usr/bin/chromium'
const isBrowserHere = existsSync(executablePath)

interface InPage {
  suite: { names(): string[]; run(at: number): Promise<string | undefined> }
}

const closing: (() => unknown)[] = []
/** The page with the suite in it. It must have an origin: a page without one may store nothing. */
async function open(): Promise<Page> {
  const { code } = await bundle(fileURLToPath(new URL('store-page.ts', import.meta.url)), { inPage: true })
  const server = createServer((request, response) => {
    const isScript = request.url === '/suite.js'
    response.writeHead(200, { 'content-type': isScript ? 'text/javascript' : 'text/html' })
    response.end(isScript ? code : '<!doctype html><title>store</title>')
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] })
  closing.push(
    () => browser.close(),
    () => server.close(),
  )
  const page = await browser.newPage()
  const errors: string[] = []
  page.on('pageerror', (error) => errors.push(error.stack ?? error.message))
  await page.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`)
  await page.addScriptTag({ url: '/suite.js', type: 'module' })
  if (errors.length > 0) throw new Error(errors.join('\n'))
  return page
}

const page = isBrowserHere ? await open() : undefined
const names = (await page?.evaluate(() => (globalThis as unknown as InPage).suite.names())) ?? []
afterAll(async () => {
  for (const close of closing) await close()
})

describe.skipIf(!isBrowserHere)('the store in a browser', () => {
  it('has all the tests of its suite', () => {
    expect(names.length).toBeGreaterThan(80)
  })

  it.each(names.map((name, at) => [name, at] as const))('%s', async (_name, at) => {
    expect(
      await page!.evaluate((each) => (globalThis as unknown as InPage).suite.run(each), at),
    ).toBeUndefined()
  })
})
