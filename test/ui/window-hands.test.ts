/** The window in the hands of somebody in a hurry, while other devices write, too. */
import type { Locator, Page } from '@playwright/test'
import { describe, expect, test } from 'vitest'
import { Refused } from '../../src/node/api.js'
import { relayAddress } from './fake-mailbox.js'
import {
  button,
  cases,
  field,
  isBrowserHere,
  openCase,
  poll,
  wide,
  windowInBrowser,
} from './window-harness.js'

const id = 'case-000000'
const notes = (page: Page) => page.getByRole('textbox', { name: 'Consultation notes', exact: true })
/** Where the keyboard is: the name or the text of what has the focus. */
const focused = (page: Page) =>
  page.evaluate(
    '[document.activeElement.getAttribute("aria-label") ?? "", document.activeElement.textContent ?? ""].find(Boolean) ?? ""',
  ) as Promise<string>

describe.skipIf(!isBrowserHere)('the window in a hurry', { timeout: 30_000 }, () => {
  const { start } = windowInBrowser()

  /** The one case is open and the caret stands before its notes. */
  async function writing() {
    const started = await start({ cases: 1 })
    await openCase(started.page, '')
    await poll(() => notes(started.page).inputValue()).toContain('Headache')
    await notes(started.page).click()
    await started.page.keyboard.press('Control+Home')
    return started
  }

  test('a newer consultation from elsewhere takes nothing from under the hand', async () => {
    const { page, device } = await writing()
    await page.keyboard.type('One')
    device.byId.get(id)?.consultations.push({ id: 'newer', date: '2031-01-01', kind: 'follow-up' })
    device.changed([id])
    await page.getByText('1 Jan 2031', { exact: true }).waitFor()
    await page.keyboard.type(' sentence. ')
    await poll(() => device.notesOf(id, 'c0')).toContain('One sentence. Headache')
  })

  test('a drawer that is being named keeps the focus only while it has it', async () => {
    const { page, device } = await writing()
    await page.getByLabel('Drawer', { exact: true }).selectOption({ label: 'New drawer…' })
    const name = field(page, 'Name of the new drawer')
    await poll(() => name.evaluate((element) => element.matches(':focus'))).toBe(true)
    await notes(page).click()
    await page.keyboard.press('Control+Home')
    await page.keyboard.type('These ')
    // Each confirmed letter draws the case anew.
    await poll(() => device.notesOf(id, 'c0')).toContain('These ')
    await page.getByText('Saved on this device').waitFor()
    await page.keyboard.type('are notes. ')
    await poll(() => device.notesOf(id, 'c0')).toContain('These are notes. Headache')
    expect(await name.inputValue()).toBe('')
    await name.fill('Oncology')
    await page.keyboard.press('Enter')
    await poll(() => device.byId.get(id)?.drawer).toBe('Oncology')
    await poll(() => field(page, 'Drawer').evaluate((element) => element.matches(':focus'))).toBe(true)
  })

  test('letters typed in the list never go into the case that was just begun', async () => {
    const { page, device } = await start({ cases: 10 })
    await button(page, 'New case').click()
    await field(page, 'First name').waitFor()
    await page.keyboard.type('Quirina')
    await cases(page).getByText('Quirina').waitFor()
    await cases(page).focus()
    await page.keyboard.press('End')
    await poll(() => field(page, 'First name').inputValue()).not.toBe('Quirina')
    await page.keyboard.press('Home')
    await poll(() => field(page, 'First name').inputValue()).toBe('Quirina')
    expect(await focused(page)).toBe('Cases')
    expect(device.byId.get('new-0')?.patient).toEqual({ firstName: 'Quirina' })
  })

  test('a case from elsewhere does not move the list', async () => {
    const { page, device } = await start({ cases: 500 })
    await cases(page).getByRole('option').first().click()
    await field(page, 'First name').waitFor()
    const scroller = page.locator('.list-scroller')
    const top = () => scroller.evaluate((element) => element.scrollTop)
    await scroller.evaluate((element) => {
      element.scrollTop = 9000
    })
    const shown = page.getByText(/^\d+ cases$/)
    const before = await shown.textContent()
    await device.api.cases.create({ json: '{}' })
    await poll(() => shown.textContent()).not.toBe(before)
    await page.waitForTimeout(200)
    expect(await top()).toBe(9000)
  })

  test('a word that another device’s deletion cut off in the midst is kept, and so is all that follows', async () => {
    const { page, device } = await writing()
    const keys = await page.context().newCDPSession(page)
    await keys.send('Input.imeSetComposition', { text: 'zaż', selectionStart: 3, selectionEnd: 3 })
    await device.api.cases.delete({ ids: [id] })
    await button(page, 'Restore').waitFor()
    await device.api.cases.restore({ ids: [id] })
    await button(page, 'Restore').waitFor({ state: 'detached' })
    await page.keyboard.type('later ')
    await poll(() => device.notesOf(id, 'c0')).toContain('zażlater Headache')
  })

  test('a word in the midst of which its consultation is closed is kept', async () => {
    const { page, device } = await writing()
    const keys = await page.context().newCDPSession(page)
    await keys.send('Input.imeSetComposition', { text: 'zażółć', selectionStart: 6, selectionEnd: 6 })
    // Without a click, which would end the word.
    await page.locator('.record-head').first().dispatchEvent('click')
    await notes(page).waitFor({ state: 'detached' })
    await poll(() => device.notesOf(id, 'c0')).toContain('zażółćHeadache')
  })

  test('it is not said that notes are being saved while the device refuses them', async () => {
    const { page, device } = await writing()
    const take = device.api.doc.update
    device.api.doc.update = async () => {
      throw new Refused('disk-full', 'The disk is full. Everything so far is safe; editing is paused.')
    }
    await page.keyboard.type('x')
    await button(page, 'Not saved yet').waitFor()
    device.api.doc.update = take
    await button(page, 'Saved on this device').waitFor()
  })

  test('fields keep what is typed as it is typed, and show a stored line break as a gap', async () => {
    const { page, device } = await start({ cases: 1 }, undefined, ({ byId }) => {
      byId.get(id)!.patient.address = 'ul. Lipowa 1\n90-001 Łódź'
    })
    await openCase(page, '')
    expect(await field(page, 'Address').inputValue()).toBe('ul. Lipowa 1 90-001 Łódź')
    await field(page, 'E-mail').fill('')
    await field(page, 'E-mail').pressSequentially('jan@żółw.pl')
    await poll(() => device.byId.get(id)?.patient.email).toBe('jan@żółw.pl')
    expect(await field(page, 'E-mail').inputValue()).toBe('jan@żółw.pl')
  })

  test('a double click begins one case, one consultation, one prescription', async () => {
    const { page, device } = await start({ cases: 1 })
    await cases(page).getByRole('option').first().waitFor()
    await button(page, 'New case').dblclick()
    await field(page, 'First name').waitFor()
    await button(page, 'Add consultation').dblclick()
    await button(page, 'Add prescription').dblclick()
    await field(page, 'Remedy').waitFor()
    await page.waitForTimeout(300)
    expect(device.byId.size).toBe(2)
    expect(device.byId.get('new-0')?.consultations).toHaveLength(1)
    expect(device.byId.get('new-0')?.prescriptions).toHaveLength(1)
  })

  test('the keyboard stays where something closes, goes or takes the place of another', async () => {
    const { page } = await start({ cases: 3 })
    await openCase(page, '')
    const press = async (name: string) => {
      await button(page, name).focus()
      await page.keyboard.press('Enter')
    }
    await press('Remove this consultation')
    await page.getByRole('group', { name: 'Remove this consultation and its notes?' }).waitFor()
    await poll(() => focused(page)).toBe('Cancel')
    await page.keyboard.press('Enter')
    await poll(() => focused(page)).toBe('Remove this consultation')
    await page.keyboard.press('Enter')
    await press('Remove')
    await poll(() => focused(page)).toBe('Consultations')
    const title = (await page.locator('#case-title').textContent()) ?? ''
    await press('Delete')
    await button(page, 'Restore').waitFor()
    expect(await focused(page)).toBe(title)
    await press('Restore')
    await button(page, 'Delete').waitFor()
    expect(await focused(page)).toBe(title)
    await press('Case')
    await page.getByRole('menuitem', { name: 'Export…' }).click()
    await page.getByRole('dialog', { name: 'Export cases' }).waitFor()
    await poll(() => focused(page)).toBe('Close')
    await page.keyboard.press('Escape')
    await poll(() => focused(page)).toBe('Case')
  })

  test('Ctrl+S is not the browser’s, which would save the cases in a readable file', async () => {
    const { page } = await writing()
    await page.evaluate(
      'addEventListener("keydown", (event) => { if (event.key === "s") globalThis.taken = event.defaultPrevented })',
    )
    await page.keyboard.press('Control+s')
    expect(await page.evaluate('globalThis.taken')).toBe(true)
  })

  test('in Polish nothing is cut off, in the narrowest window and at twice the size', async () => {
    const settings = { language: 'pl' }
    const smallest = { width: 360, height: 740 }
    const isWhole = (element: Locator) =>
      element.evaluate((one) => {
        const box = one.parentElement!.getBoundingClientRect()
        const { right } = one.getBoundingClientRect()
        return one.scrollWidth <= one.clientWidth && right <= box.right + 1
      })
    const { page } = await start({ cases: 1, settings }, smallest)
    await page.locator('.row').click()
    await button(page, 'Usuń').click()
    expect.soft(await isWhole(button(page, 'Cofnij').locator('.mantine-Button-label'))).toBe(true)
    const banner = page.locator('.banner p')
    expect.soft(await banner.evaluate((one) => one.clientWidth)).toBeGreaterThan(230)
    await button(page, 'Ogólne').click()
    await page.getByRole('menuitem', { name: 'Preferencje…' }).click()
    const theme = page.getByRole('radiogroup', { name: 'Motyw' })
    await theme.waitFor()
    expect.soft(await isWhole(theme)).toBe(true)
    for (const label of await theme.locator('.mantine-SegmentedControl-label').all())
      expect.soft(await label.evaluate((one) => one.scrollWidth <= one.clientWidth)).toBe(true)

    const broad = await start({ cases: 1, settings }, { width: 1440, height: 900 }, ({ byId }) => {
      byId.get(id)!.conflicts = [{ field: 'drawer', value: 'Patients', others: ['Study'] }]
    })
    await broad.page.locator('.row').click()
    const date = broad.page.locator('.prescriptions .record-aside').first()
    await date.waitFor()
    expect.soft(await isWhole(date)).toBe(true)
    // What is stored in English is said in the words of its field.
    await button(broad.page, 'Użyj „Do nauki”').waitFor()
    await broad.page.setViewportSize(wide)
    await broad.page.getByLabel('Szuflada', { exact: true }).selectOption({ label: 'Nowa szuflada…' })
    const name = (await field(broad.page, 'Nazwa nowej szuflady').boundingBox())!
    expect.soft(name.width).toBeGreaterThan(120)

    const first = await start({ practice: false, settings }, { width: 640, height: 400 })
    const welcome = first.page.locator('.welcome-title')
    await welcome.waitFor()
    const { y } = (await welcome.boundingBox())!
    const top = (await first.page.locator('.first-start-top').boundingBox())!
    expect.soft(y).toBeGreaterThanOrEqual(top.y + top.height)
  })

  test('what can not be saved as a date is said when its field goes', async () => {
    const { page } = await start({ cases: 2 })
    await openCase(page, '')
    await field(page, 'Birth date').fill('about 1950')
    await cases(page).getByRole('option').last().click()
    await page.getByText('“about 1950” is not a date and was not saved.').waitFor()
  })

  test('a window for a new device is open for as long as it is in sight', async () => {
    const { page, device } = await start({ cases: 1 })
    await button(page, 'Devices').click()
    await button(page, 'Add a device').click()
    await field(page, 'Cloud PIN').fill('lipa-1234')
    await button(page, 'Next').click()
    await page.getByText('5 tries left').waitFor()
    await page.keyboard.press('Escape')
    await poll(() => device.inviteState.closed).toBe('cancelled')
  })

  test('a name or an address that is being typed leaves the focus where it was moved to', async () => {
    const { page, device: served } = await start({ cases: 1 }, undefined, (fake) => {
      fake.mailbox = 'connected'
      fake.mail.relays = [{ address: relayAddress, connected: true, sentence: null }]
    })
    const redraw = async () => {
      served.devices[0]!.name = served.devices[0]!.name === 'Office' ? 'Desk' : 'Office'
      served.mail.relays = served.mail.relays.map((relay) => ({ ...relay, connected: !relay.connected }))
      served.statusChanged()
      // The least time between two readings.
      await page.waitForTimeout(1200)
    }
    await button(page, 'Devices').click()
    await button(page, 'Manage devices…').click()
    await button(page, 'Rename Office').click()
    await poll(() => field(page, 'Device name').evaluate((one) => one.matches(':focus'))).toBe(true)
    await button(page, 'Cancel').focus()
    await redraw()
    expect(await focused(page)).toBe('Cancel')
    await page.keyboard.press('Enter')
    await poll(() => focused(page)).toMatch(/^Rename /)
    await page.keyboard.press('Escape')
    await button(page, 'General').click()
    await page.getByRole('menuitem', { name: 'Preferences…' }).click()
    await button(page, 'Add another address…').click()
    await poll(() => field(page, 'Relay address').evaluate((one) => one.matches(':focus'))).toBe(true)
    await button(page, 'Close').focus()
    await redraw()
    expect(await focused(page)).toBe('Close')
  })

  test('on paper stands the open case, whole, and nothing of any other one', async () => {
    const { page } = await start({ cases: 30, settings: { theme: 'dark' } })
    await cases(page).getByRole('option').first().click()
    await notes(page).waitFor()
    await notes(page).fill('A long line of notes.\n'.repeat(80))
    await page.emulateMedia({ media: 'print' })
    for (const other of ['.header', '.sidebar', '.list-pane'])
      expect(await page.locator(other).isVisible(), other).toBe(false)
    for (const part of ['.case-pane', '.notes']) {
      const cut = await page.locator(part).evaluate((one) => one.scrollHeight - one.clientHeight)
      expect(cut, part).toBeLessThanOrEqual(0)
    }
    expect(await notes(page).evaluate((one) => one.clientHeight)).toBeGreaterThan(1500)
    expect(await page.locator('body').evaluate('document.documentElement.scrollHeight')).toBeGreaterThan(1500)
  })

  test('letters behind a call that is not answered yet leave with the window', async () => {
    const { page, device } = await writing()
    const take = device.api.doc.update
    let calls = 0
    device.api.doc.update = async (input, signal) => {
      const isFirst = calls++ === 0
      const answer = await take(input, signal)
      // The disk is slow: the letter is there, and the answer isn't.
      return isFirst ? new Promise<typeof answer>(() => {}) : answer
    }
    page.on('dialog', (dialog) => void dialog.accept())
    await page.keyboard.type('slow')
    await poll(() => device.notesOf(id, 'c0')).toContain('sHeadache')
    await page.goto('about:blank')
    await poll(() => device.notesOf(id, 'c0')).toContain('slowHeadache')
  })

  test('what is being written in stays in sight when the window becomes narrow', async () => {
    const { page, device } = await start({ cases: 1 })
    await page.locator('.row').click()
    await poll(() => notes(page).inputValue()).toContain('Headache')
    await notes(page).click()
    await page.keyboard.press('Control+Home')
    await page.keyboard.type('a')
    await page.setViewportSize({ width: 640, height: 400 })
    await poll(() => page.evaluate('matchMedia("(max-width: 46em)").matches')).toBe(true)
    await page.waitForTimeout(200)
    await page.keyboard.type('b')
    await poll(() => device.notesOf(id, 'c0')).toContain('abHeadache')
  })
})
