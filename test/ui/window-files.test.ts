/** Files in the hands of somebody in a hurry: chosen again, pulled out, and panels that are closed meanwhile. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { button, isBrowserHere, windowInBrowser } from './window-harness.js'

describe.skipIf(!isBrowserHere)('files in the window', { timeout: 30_000 }, () => {
  const { start } = windowInBrowser()

  test('a file that was put right is read when it is chosen again', async () => {
    const { page, device } = await start({ cases: 1 })
    const folder = await mkdtemp(join(tmpdir(), 'kartoteka-file-'))
    const file = join(folder, 'cases.jsonl')
    await button(page, 'Case').click()
    await page.getByRole('menuitem', { name: 'Import…' }).click()
    // As a browser does it: a file that is chosen already is no change.
    const browser = await page.context().newCDPSession(page)
    await browser.send('Page.enable')
    await browser.send('DOM.enable')
    await browser.send('Page.setInterceptFileChooserDialog', { enabled: true })
    const choose = async (text: string) => {
      await writeFile(file, text)
      const asked = new Promise<number>((resolve) =>
        browser.once('Page.fileChooserOpened', ({ backendNodeId }) => resolve(backendNodeId!)),
      )
      await button(page, 'Choose a file').click()
      await browser.send('DOM.setFileInputFiles', { files: [file], backendNodeId: await asked })
    }
    try {
      await choose('nonsense\n')
      await page.getByText('0 cases added · 1 line skipped').waitFor()
      await choose('{"id":"a","patient":{}}\n')
      await page.getByText('1 case added').waitFor()
      expect(device.byId.has('a')).toBe(true)
    } finally {
      await rm(folder, { recursive: true })
    }
  })

  test('what an export lacks is said beside how many cases it holds', async () => {
    const { page, device } = await start({ cases: 3 })
    device.unreadable = ['gone']
    await button(page, 'Case').click()
    await page.getByRole('menuitem', { name: 'Export…' }).click()
    await button(page, 'Export').click()
    await page.getByText('Missing in the file').waitFor()
    await page.getByText('3 cases exported.').waitFor()
    await button(page, 'Done').waitFor()
  })

  test('a file that is gone in the midst is not blamed on the program', async () => {
    const { page, device } = await start({ cases: 1, settings: { language: 'pl' } })
    const folder = await mkdtemp(join(tmpdir(), 'kartoteka-stick-'))
    const file = join(folder, 'changes.kartoteka')
    await writeFile(file, Buffer.alloc(3_000_000, 1))
    const take = device.mail.carry.in
    device.api.carry.in = async (piece, signal) => {
      await rm(file, { force: true })
      return take(piece, signal)
    }
    try {
      await button(page, 'Sprawa').click()
      await page.getByRole('menuitem', { name: 'Baza danych spraw' }).click()
      await page.getByRole('menuitem', { name: 'Przenieś zmiany plikiem…' }).click()
      await page.locator('input[type=file]').setInputFiles(file)
      await page.getByText('Pliku nie da się już odczytać. Wybierz go ponownie.').waitFor()
    } finally {
      await rm(folder, { recursive: true })
    }
  })

  test('how an import ended is said when its panel was closed meanwhile; skipped lines stand in order', async () => {
    const { page, device } = await start({ cases: 1 })
    const take = device.api.cases.import
    let goOn = () => {}
    const open = new Promise<void>((resolve) => {
      goOn = resolve
    })
    device.api.cases.import = async (input, signal) => {
      if (!input.preview) await open
      return take(input, signal)
    }
    const choose = async () => {
      await button(page, 'Case').click()
      await page.getByRole('menuitem', { name: 'Import…' }).click()
      const buffer = Buffer.from('nonsense\n{"id":"a","patient":{}}\n\xff\n', 'latin1')
      await page
        .locator('input[type=file]')
        .setInputFiles({ name: 'cases.jsonl', mimeType: 'application/json', buffer })
    }
    await choose()
    await page.getByText('0 cases added').waitFor()
    await page.keyboard.press('Escape')
    await page.getByRole('dialog').waitFor({ state: 'detached' })
    goOn()
    await page.getByText('Import cases: 1 case added · 2 lines skipped').waitFor()
    await choose()
    await page.getByText('0 cases added · 1 case unchanged · 2 lines skipped').waitFor()
    expect(await page.locator('.skipped-line').allTextContents()).toEqual(['Line 1', 'Line 3'])
  })
})
