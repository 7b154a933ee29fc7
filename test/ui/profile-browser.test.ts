/** What is typed in the window is not left in the browser's own files, where it would lie unsealed. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { chromium } from '@playwright/test'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { appArguments } from '../../src/node/window.js'
import { serveFake } from './fake-server.js'
import { button, executablePath, field, isBrowserHere } from './window-harness.js'

const windowFolder = fileURLToPath(new URL('../../dist/ui', import.meta.url))
/** The browser puts down what stands in a page some seconds after it has changed, and when it ends. */
const PUT_DOWN_MS = 8_000

let profile: string
beforeEach(() => {
  profile = mkdtempSync(join(tmpdir(), 'kartoteka-profile-'))
})
afterEach(() => rmSync(profile, { recursive: true }))

/** Those of the texts that stand in some file of the profile, as the browser writes them: in one byte a letter, or in two. */
function foundIn(folder: string, texts: string[]): string[] {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && existsSync(join(entry.parentPath, entry.name)))
    .map((entry) => readFileSync(join(entry.parentPath, entry.name)))
  return texts.filter((text) =>
    files.some((bytes) => bytes.includes(text) || bytes.includes(Buffer.from(text, 'utf16le'))),
  )
}

test.runIf(isBrowserHere)('nothing that is typed is in the profile of the app window', async () => {
  const served = await serveFake(windowFolder, { practice: false })
  const browser = await chromium.launchPersistentContext(profile, {
    executablePath,
    locale: 'en-GB',
    args: [...appArguments(served.url(), profile).slice(2), '--headless=new', '--no-sandbox'],
  })
  const typed: string[] = []
  try {
    const page = browser.pages()[0] ?? (await browser.newPage())
    page.setDefaultTimeout(8_000)
    const type = async (name: string, text: string) => {
      await field(page, name).fill(text)
      typed.push(text)
    }
    await page.goto(served.url())
    await button(page, 'New practice').click()
    await type('Practice name', 'QuellePractice')
    await button(page, 'Next').click()
    await type('Device name', 'QuelleDevice')
    await button(page, 'Next').click()
    await type('Cloud PIN', 'QuellePin')
    await type('Repeat Cloud PIN', 'QuellePin')
    for (const eye of await page.locator('.mantine-PasswordInput-visibilityToggle').all()) await eye.click()
    await page.waitForTimeout(PUT_DOWN_MS)
    await button(page, 'Create').click()
    await button(page, 'New case').click()
    await type('First name', 'QuelleFirst')
    await type('Last name', 'QuelleLast')
    await type('Address', 'QuelleAddress')
    await page.getByLabel('Drawer', { exact: true }).selectOption({ label: 'New drawer…' })
    await type('Name of the new drawer', 'QuelleDrawer')
    await button(page, 'Add consultation').click()
    await type('Consultation notes', 'QuelleNotes')
    await page.getByRole('searchbox', { name: 'Search cases' }).fill('QuelleSearch')
    typed.push('QuelleSearch')
    await page.waitForTimeout(PUT_DOWN_MS)
    expect(foundIn(profile, typed)).toEqual([])
  } finally {
    await browser.close()
    await served.close()
  }
  expect(typed).toContain('QuelleNotes')
  expect(foundIn(profile, typed)).toEqual([])
})
