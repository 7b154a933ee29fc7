/**
 * The window in a browser, behind the real local server, over the fake device. Every page that a test
 * opened is closed after it, and must have met no bug, no forbidden style or script, and no style tag.
 */
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { type Browser, chromium, type Page } from '@playwright/test'
import axe from 'axe-core'
import { afterAll, afterEach, beforeAll, expect } from 'vitest'
import type { FakeOptions } from './fake-device.js'
import { serveFake } from './fake-server.js'

export const executablePath = process.env.KARTOTEKA_CHROMIUM ?? '/usr/bin/chromium'
export const isBrowserHere = existsSync(executablePath)
const args = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]
export const wide = { width: 1280, height: 800 }
export const narrow = { width: 420, height: 800 }
type Served = Awaited<ReturnType<typeof serveFake>>

/** The built window, opened as often as the tests of a file like. */
export function windowInBrowser() {
  const folder = fileURLToPath(new URL('../../dist/ui', import.meta.url))
  let browser: Browser
  let open: { page: Page; served: Served; problems: string[] }[] = []

  beforeAll(async () => {
    browser = await chromium.launch({ executablePath, args })
  }, 120_000)

  afterAll(async () => {
    await browser?.close()
  })

  afterEach(async () => {
    const all = open
    open = []
    for (const { page, served, problems } of all) {
      // No style tags at run time: the window needs no 'unsafe-inline'.
      const styles = await page.evaluate(
        "[...document.querySelectorAll('style')].map((one) => one.outerHTML)",
      )
      await page.close()
      expect(styles).toEqual([])
      await served.close()
      // A style or script that the page's policy forbids, or a bug, shows here.
      expect(problems).toEqual([])
    }
  })

  /** `prepare` changes the device before the window first asks it. */
  async function start(
    options: FakeOptions = {},
    size = wide,
    prepare: (device: Served['device']) => void = () => {},
  ) {
    const served = await serveFake(folder, options)
    prepare(served.device)
    const page = await newPage(size)
    const problems: string[] = []
    page.on('pageerror', (error) => problems.push(error.message))
    page.on('console', (message) => {
      if (message.type() === 'error') problems.push(message.text())
    })
    open.push({ page, served, problems })
    await page.goto(served.url())
    return { page, device: served.device, url: () => served.url() }
  }

  async function newPage(size = wide): Promise<Page> {
    const page = await browser.newPage({ viewport: size, locale: 'en-GB' })
    page.setDefaultTimeout(8000)
    return page
  }

  return { start, newPage, folder: () => folder }
}

export const cases = (page: Page) => page.getByRole('listbox', { name: 'Cases', exact: true })
export const button = (page: Page, name: string) => page.getByRole('button', { name, exact: true })
export const field = (page: Page, name: string) => page.getByLabel(name, { exact: true })

export async function openCase(page: Page, query: string) {
  // Before the list is there, Enter opens nothing.
  await cases(page).getByRole('option').first().waitFor()
  await page.getByRole('searchbox', { name: 'Search cases' }).fill(query)
  await page.keyboard.press('Enter')
  await field(page, 'First name').waitFor()
}

/** Patient, because a busy machine draws slowly. */
export const poll = <T>(read: () => Promise<T> | T) => expect.poll(read, { timeout: 8000 })

/** No violation that axe knows. */
export async function expectAccessible(page: Page) {
  // Half-faded colours would be measured, too.
  await page.waitForTimeout(350)
  await page.evaluate(axe.source)
  const violations = await page.evaluate(async () => {
    const found = await (globalThis as unknown as { axe: typeof axe }).axe.run()
    return found.violations.map((one) => `${one.id}: ${one.nodes.map((node) => node.html).join(' | ')}`)
  })
  expect(violations).toEqual([])
}
