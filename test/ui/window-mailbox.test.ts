/** The cloud mailbox, delivery, the practice code and carrying by file, in a browser over a fake device. */
import { readFile } from 'node:fs/promises'
import type { Locator, Page } from '@playwright/test'
import { describe, expect, test } from 'vitest'
import { Refused } from '../../src/node/api.js'
import { device, type FakeDevice } from './fake-device.js'
import { relayAddress } from './fake-mailbox.js'
import {
  button,
  expectAccessible,
  field,
  isBrowserHere,
  narrow,
  openCase,
  poll,
  wide,
  windowInBrowser,
} from './window-harness.js'

const away = '/dns4/away.example.org/tcp/4001/p2p/12D3KooWAway'
const hour = 3_600_000

/** The cloud mailbox is on; the laptop has everything, the computer at home doesn't. */
function threeDevices(served: FakeDevice): void {
  served.mailbox = 'connected'
  served.mail.relays = [{ address: relayAddress, connected: true, sentence: null }]
  served.devices.push(
    device({ id: 'laptop', name: 'Laptop', path: 'lan', connected: true, lastSeen: Date.now() }),
    device({
      id: 'home',
      name: 'Home',
      path: 'mailbox',
      lastSeen: Date.now() - 5 * hour,
      upToDate: false,
      behind: 12,
    }),
  )
}

const mailboxBox = (page: Page) => page.getByRole('checkbox', { name: 'Use the cloud mailbox', exact: true })
const icon = (page: Page) => page.getByRole('button', { name: /^Cloud mailbox:/ })
const saveState = (page: Page) => page.locator('.save-state')

/** What this file uses of a page's own world. */
interface PageWorld {
  getComputedStyle(element: unknown): { fill: string; backgroundColor: string }
}

const expectFocus = (place: Locator) =>
  poll(() => place.evaluate((one) => one.matches(':focus, :focus *, :has(:focus)'))).toBe(true)

async function openPreferences(page: Page) {
  await button(page, 'General').click()
  await page.getByRole('menuitem', { name: 'Preferences…' }).click()
  await mailboxBox(page).waitFor()
}

async function openFromDatabase(page: Page, item: string) {
  await button(page, 'Case').click()
  await page.getByRole('menuitem', { name: 'Case database' }).click()
  await page.getByRole('menuitem', { name: item }).click()
}

describe.skipIf(!isBrowserHere)('the window and the cloud mailbox', { timeout: 60_000 }, () => {
  const { start } = windowInBrowser()

  describe('switching it on and off', () => {
    test('without PIN and address: both, one question each, with the keyboard only', async () => {
      const { page, device: served } = await start({ cases: 2, pinChosen: false })
      await button(page, 'General').focus()
      await page.keyboard.press('Enter')
      await expectFocus(page.getByRole('menu'))
      await page.keyboard.press('ArrowDown')
      await page.keyboard.press('Enter')
      await mailboxBox(page).focus()
      await page.keyboard.press('Space')
      await page.getByText('Step 1 of 2').waitFor()
      await expectAccessible(page)
      await page.keyboard.type('123')
      await page.keyboard.press('Enter')
      await page.getByText('The two PINs are not the same.').waitFor()
      await field(page, 'Repeat Cloud PIN').fill('123')
      await page.keyboard.press('Enter')
      await page.getByText('A Cloud PIN has at least six characters.').waitFor()
      await field(page, 'Cloud PIN').fill('lipa-1234')
      await field(page, 'Repeat Cloud PIN').fill('lipa-1234')
      await page.keyboard.press('Enter')
      await page.getByText('Step 2 of 2').waitFor()
      await expectAccessible(page)
      await page.keyboard.press('Enter')
      await page.getByText('Type the relay address.').waitFor()
      await page.keyboard.type(relayAddress)
      expect(served.calls).toEqual([])
      await page.keyboard.press('Enter')
      await poll(() => mailboxBox(page).isChecked()).toBe(true)
      expect(served.calls).toEqual([`mailbox on ${relayAddress}`, 'choosePin lipa-1234'])
      await expectFocus(mailboxBox(page))
      await page.keyboard.press('Escape')
      await icon(page).waitFor()
    })

    test('a generated PIN is offered and taken', async () => {
      const { page, device: served } = await start({ cases: 1, pinChosen: false }, wide, (served) => {
        served.mail.relays = [{ address: relayAddress, connected: false, sentence: null }]
      })
      await openPreferences(page)
      await mailboxBox(page).click()
      const offered = await page.locator('.pin-offered').textContent()
      expect(offered).toMatch(/^\d{8}$/)
      await button(page, 'Use this PIN').click()
      expect(await field(page, 'Cloud PIN').inputValue()).toBe(offered)
      await button(page, 'Next').click()
      await poll(() => served.calls).toEqual(['mailbox on', `choosePin ${offered}`])
    })

    test('an address is taken back after a question; the only one is not', async () => {
      const { page, device: served } = await start({ cases: 1 }, wide, (served) => {
        threeDevices(served)
        served.mail.relays.push({ address: away, connected: false, sentence: null })
      })
      await openPreferences(page)
      const forget = page.getByRole('button', { name: /^Remove the address .*away/ })
      await forget.click()
      await expectAccessible(page)
      await button(page, 'Cancel').click()
      await forget.click()
      await button(page, 'Remove this address').click()
      await poll(() => page.getByRole('button', { name: /^Remove the address/ }).count()).toBe(0)
      expect(served.calls).toEqual([`mailbox forget ${away}`])
    })

    test('leaving midway leaves everything as it was', async () => {
      const { page, device: served } = await start({ cases: 1, pinChosen: false })
      await openPreferences(page)
      await mailboxBox(page).click()
      await button(page, 'Use this PIN').click()
      await button(page, 'Next').click()
      await field(page, 'Relay address').fill(relayAddress)
      await button(page, 'Cancel').click()
      expect(await mailboxBox(page).isChecked()).toBe(false)
      await mailboxBox(page).click()
      await page.keyboard.press('Escape')
      expect(served.calls).toEqual([])
      expect([served.pinChosen, served.mailbox]).toEqual([false, 'off'])
      expect(await icon(page).count()).toBe(0)
    })

    test('an address is tested, and one that doesn’t answer is asked for twice', async () => {
      const { page, device: served } = await start({ cases: 1, settings: { theme: 'dark' } })
      await openPreferences(page)
      await mailboxBox(page).click()
      await field(page, 'Relay address').fill('/dns4/other.example.org/tcp/4001')
      await button(page, 'Test').click()
      await page.getByText('A different relay answers at this address.').waitFor()
      await expectAccessible(page)
      await field(page, 'Relay address').fill(relayAddress)
      await button(page, 'Test').click()
      await page.getByText('The cloud mailbox answers at this address.').waitFor()
      await field(page, 'Relay address').fill(away)
      await button(page, 'Next').click()
      await page.getByText('Nothing answers at this address.').waitFor()
      expect(served.calls).toEqual([])
      await button(page, 'Next').click()
      await poll(() => served.calls).toEqual([`mailbox on ${away}`])
    })

    test('a refusal stands beside the address, and the PIN stays unchosen', async () => {
      const { page, device: served } = await start({ cases: 1, pinChosen: false })
      served.mail.refuseOn = new Refused('bad-address', 'That address is malformed.')
      await openPreferences(page)
      await mailboxBox(page).click()
      await button(page, 'Use this PIN').click()
      await button(page, 'Next').click()
      await field(page, 'Relay address').fill(relayAddress)
      await button(page, 'Next').click()
      await page.getByText('That address is malformed.').waitFor()
      expect(served.pinChosen).toBe(false)
    })

    test('on: addresses with their state, another one added; off: one click', async () => {
      const { page, device: served } = await start({ cases: 1 }, wide, (served) => {
        threeDevices(served)
        served.mail.relays.push({ address: away, connected: false, sentence: 'It does not answer.' })
      })
      await openPreferences(page)
      const list = page.getByRole('list', { name: 'Addresses of the cloud mailbox' })
      await list.getByText('connected', { exact: true }).waitFor()
      await list.getByText('It does not answer.').waitFor()
      await button(page, 'Add another address…').click()
      await field(page, 'Relay address').fill('/ip4/10.0.0.9/tcp/4001')
      await expectAccessible(page)
      await button(page, 'Add').click()
      await list.getByText('/ip4/10.0.0.9/tcp/4001').waitFor()
      await page.getByText('this device takes in what waits for it there').waitFor()
      await mailboxBox(page).click()
      await poll(() => mailboxBox(page).isChecked()).toBe(false)
      expect(served.calls.at(-1)).toBe('mailbox off')
      await poll(() => icon(page).count()).toBe(0)
      await mailboxBox(page).click()
      await poll(() => served.calls.at(-1)).toBe('mailbox on')
    })

    test('never using it is a complete product: nothing mentions it', async () => {
      const { page } = await start({ cases: 3 })
      await openCase(page, '')
      expect(await page.getByText(/mailbox/i).count()).toBe(0)
      await button(page, 'Devices').click()
      await button(page, 'Sync now').waitFor()
      expect(await page.getByText(/mailbox/i).count()).toBe(0)
    })
  })

  describe('its state at the top', () => {
    test('connected, syncing with a count that moves, offline; one click syncs', async () => {
      const { page, device: served } = await start({ cases: 2 })
      await button(page, 'New case').waitFor()
      expect(await icon(page).count()).toBe(0)
      threeDevices(served)
      served.statusChanged()
      await page.getByRole('button', { name: 'Cloud mailbox: connected', exact: true }).click()
      await page.getByText('Sync is done: 3 changes sent, 1 change received.').waitFor()
      expect(served.calls).toEqual(['sync'])
      served.mailbox = 'syncing'
      for (const [pendingOut, count] of [
        [1230, '1,237'],
        [20, '27'],
      ] as const) {
        Object.assign(served.mail, { pendingOut, pendingIn: 7 })
        served.statusChanged()
        await button(page, `Cloud mailbox: syncing, ${count} to go`).waitFor()
      }
      served.mailbox = 'offline'
      served.statusChanged()
      await button(page, 'Cloud mailbox: no Internet or mailbox offline, 27 to go').waitFor()
      await expectAccessible(page)
    })

    test('below "Devices": ways, what waits, progress, problems, what happened; by keyboard', async () => {
      const { page, device: served } = await start(
        { cases: 2, settings: { theme: 'dark' } },
        narrow,
        (served) => {
          threeDevices(served)
          served.mailbox = 'syncing'
          served.mail.pendingOut = 12
          served.transfer = { done: 300, of: 1200, bytes: 1_250_000 }
          served.problems = [{ code: 'mailbox-full', sentence: 'The cloud mailbox is full.' }]
          served.happened = Array.from({ length: 6 }, (_, index) => ({
            at: Date.now() - index * hour,
            code: 'device-added',
            text: `"Device ${index}" was added.`,
          }))
        },
      )
      await button(page, 'Devices').focus()
      await page.keyboard.press('Enter')
      const panel = page.getByRole('dialog', { name: 'Devices' })
      await panel.getByText('same network').waitFor()
      await panel.getByText('by mailbox · last seen 5 hours ago').waitFor()
      await panel.getByText('12 changes missing').waitFor()
      await panel.getByText('To send: 12').waitFor()
      await panel.getByText('Cases on their way: 300 of 1,200').waitFor()
      expect(await panel.getByRole('progressbar').getAttribute('aria-valuenow')).toBe('25')
      await panel.getByText('The cloud mailbox is full.').waitFor()
      await panel.getByText('“Device 0” was added.').waitFor()
      expect(await panel.getByText('“Device 5” was added.').count()).toBe(0)
      await expectAccessible(page)
      await panel.getByRole('button', { name: 'Show more' }).press('Enter')
      await panel.getByText('“Device 5” was added.').waitFor()
      await button(page, 'Sync now').press('Enter')
      await poll(() => served.calls).toEqual(['sync'])
      await page.keyboard.press('Escape')
      await panel.waitFor({ state: 'hidden' })
      await expectFocus(button(page, 'Devices'))
    })
  })

  test('what the relay holds, exactly; by keyboard, and in Polish', async () => {
    const { page, device: served } = await start({ cases: 2 }, wide, (served) => {
      threeDevices(served)
      const nothing = { pending: [], safetyCopy: { count: 0, bytes: 0 }, record: null }
      served.mail.held = {
        relays: [
          {
            ...nothing,
            address: relayAddress,
            connected: true,
            pending: [
              { recipient: 'home', name: 'Home', count: 12, bytes: 49_152, oldest: 5 * hour },
              { recipient: 'laptop', name: 'Laptop', count: 1, bytes: 4096, oldest: 1000 },
            ],
          },
          { ...nothing, address: away, connected: false },
        ],
        pendingTotal: 13,
      }
    })
    await button(page, 'Case').focus()
    await page.keyboard.press('Enter')
    await expectFocus(page.getByRole('menu'))
    await page.keyboard.press('ArrowDown')
    await page.keyboard.press('End')
    await page.keyboard.press('ArrowUp')
    await page.keyboard.press('ArrowRight')
    const item = page.getByRole('menuitem', { name: 'What the relay holds…' })
    await expectFocus(item)
    await page.keyboard.press('Enter')
    const row = (name: string) => page.getByRole('row').filter({ hasText: name }).allInnerTexts()
    await poll(() => row('Home')).toEqual(['Home\t12 items\t49.2\u00a0kB\t5 hours'])
    expect(await row('Laptop')).toEqual(['Laptop\t1 item\t4.1\u00a0kB\tunder 1 minute'])
    await page.getByText('what it holds isn’t known').waitFor()
    await page.getByText('In all: 13 items').waitFor()
    expect(await page.getByText('Nothing waits at the relay.').count()).toBe(0)
    await expectAccessible(page)
    served.mail.held.relays[0]!.pending = [
      { recipient: 'home', name: 'Home', count: 3, bytes: 12_288, oldest: 26 * hour },
    ]
    await button(page, 'Refresh').click()
    await page.getByText('3 items').first().waitFor()
    served.mail.held = { relays: [{ ...served.mail.held.relays[0]!, pending: [] }], pendingTotal: 0 }
    await button(page, 'Refresh').click()
    await page.getByText('Nothing waits at the relay.').waitFor()
    await page.keyboard.press('Escape')
    served.mail.held.relays[0]!.pending = [
      { recipient: 'home', name: 'Home', count: 3, bytes: 12_288, oldest: 26 * hour },
    ]
    await openPreferences(page)
    await page.getByText('Polski').click()
    await page.keyboard.press('Escape')
    await button(page, 'Sprawa').click()
    await page.getByRole('menuitem', { name: 'Baza danych spraw' }).click()
    await page.getByRole('menuitem', { name: 'Co jest w skrzynce…' }).click()
    await poll(() => row('Home')).toEqual(['Home\t3 przesyłki\t12,3\u00a0kB\t1 dzień'])
  })

  describe('delivery', () => {
    test('on this device, on some, on all; each device with its own tick', async () => {
      const { page, device: served } = await start({ cases: 1 }, wide, threeDevices)
      await openCase(page, '')
      await poll(() => saveState(page).textContent()).toBe('On 2 of 3 devices')
      await saveState(page).press('Enter')
      const where = page.getByRole('dialog', { name: 'On 2 of 3 devices' })
      const line = (name: string) => where.getByRole('listitem').filter({ hasText: name }).textContent()
      expect(await line('Laptop')).toContain('up to date')
      expect(await line('Home')).toBe('Homelast seen 5 hours agowaiting')
      await expectAccessible(page)
      served.devices[2]!.upToDate = true
      served.changed(null)
      await poll(() => saveState(page).textContent()).toBe('On all devices')
      await page.keyboard.press('Escape')
      await where.waitFor({ state: 'hidden' })
      for (const other of served.devices.slice(1)) other.upToDate = false
      served.changed(null)
      await poll(() => saveState(page).textContent()).toBe('Saved on this device')
    })

    test('what was just typed is on this device only, until the others have confirmed it', async () => {
      const { page, device: served } = await start({ cases: 1 }, wide, threeDevices)
      served.devices[2]!.upToDate = true
      await openCase(page, '')
      await poll(() => saveState(page).textContent()).toBe('On all devices')
      const notes = page.getByRole('textbox', { name: 'Consultation notes', exact: true })
      for (const edit of [() => field(page, 'Phone').fill('+48 1'), () => notes.pressSequentially('x')]) {
        let release = () => {}
        served.showGate = new Promise((resume) => {
          release = resume
        })
        const before = served.calls.length
        await edit()
        await poll(() => served.calls.length).toBeGreaterThan(before)
        await poll(() => saveState(page).textContent()).toBe('Saved on this device')
        served.showGate = null
        release()
        await poll(() => saveState(page).textContent()).toBe('On all devices')
      }
    })
  })

  test('the practice code: as a QR code that is dark on white in both themes, and copied', async () => {
    const { page } = await start({ cases: 1, settings: { theme: 'dark' } })
    await page.context().grantPermissions(['clipboard-read', 'clipboard-write'])
    await openPreferences(page)
    await button(page, 'Show code and QR').click()
    await page.getByText('ABCDEF-GHJKMN-PQRSTV', { exact: true }).waitFor()
    const qr = page.getByRole('img', { name: 'The invitation as a QR code' })
    const colours = await qr.evaluate((one) => {
      const { fill, backgroundColor } = (globalThis as unknown as PageWorld).getComputedStyle(one)
      return [fill, backgroundColor]
    })
    expect(colours).toEqual(['rgb(27, 26, 23)', 'rgb(255, 255, 255)'])
    await expectAccessible(page)
    await button(page, 'Copy the invitation').click()
    await button(page, 'Copied').waitFor()
    const copied = await page.evaluate<string>('navigator.clipboard.readText()')
    expect(copied).toContain(`ABCDEF-GHJKMN-PQRSTV?at=${relayAddress}`)
    expect(await page.getByText(copied).count()).toBe(1)
  })

  test('adding a device where no PIN was chosen yet leads through choosing one', async () => {
    const { page, device: served } = await start({ cases: 1, pinChosen: false })
    await button(page, 'Devices').click()
    await button(page, 'Add a device').click()
    await field(page, 'Cloud PIN').fill('123')
    await field(page, 'Repeat Cloud PIN').fill('123')
    await button(page, 'Next').click()
    await page.getByText('A Cloud PIN has at least six characters.').waitFor()
    expect(served.pinChosen).toBe(false)
    await button(page, 'Use this PIN').click()
    await button(page, 'Next').click()
    await page.getByRole('img', { name: 'The invitation as a QR code' }).waitFor()
    expect(served.pinChosen).toBe(true)
  })

  test('carrying by file: out as a download, in with its outcome; a wrong file changes nothing', async () => {
    const { page, device: served } = await start({ cases: 1, settings: { theme: 'dark' } }, narrow)
    await openFromDatabase(page, 'Carry by file…')
    const [file] = await Promise.all([page.waitForEvent('download'), button(page, 'Save the file').click()])
    const bytes = await readFile(await file.path())
    expect(bytes.toString()).toBe(served.mail.carried.join(''))
    await page.getByText(`Saved as ${file.suggestedFilename()}`).waitFor()
    const choose = (buffer: Buffer) =>
      page.locator('input[type=file]').setInputFiles({ name: 'x.kartoteka', mimeType: '', buffer })
    const big = Buffer.concat([bytes, Buffer.alloc(3_000_000)])
    await choose(big)
    await page.getByText('Done: 12 changes were new here.').waitFor()
    expect(served.calls).toEqual([`carry in ${big.length} bytes in 3`])
    served.mail.carryReport = { envelopes: 3, taken: 0, received: 0 }
    await choose(bytes)
    await page.getByText('Everything in this file was here already.').waitFor()
    await choose(Buffer.from('a shopping list'))
    await page.getByText('That is not a file of changes. Nothing was changed.', { exact: true }).waitFor()
    await choose(Buffer.concat([bytes, Buffer.from('cut off')]))
    await page.getByText('The file is cut off. What could be read is taken in.', { exact: true }).waitFor()
    await expectAccessible(page)
    served.mail.lacks = ['a damaged one']
    await button(page, 'Save the file').click()
    await page.getByText('Missing in the file', { exact: false }).getByText('a damaged one').waitFor()
    served.mail.carried = []
    await button(page, 'Save the file').click()
    await page.getByText('There is nothing to carry').waitFor()
  })

  test.each([
    ['light', narrow],
    ['dark', wide],
  ] as const)('Polish on every screen of it, accessible, %s', async (theme, size) => {
    const settings = { theme, language: 'pl' }
    const { page } = await start({ cases: 2, pinChosen: false, settings }, size)
    await button(page, 'Urządzenia').click()
    await button(page, 'Synchronizuj teraz').waitFor()
    await expectAccessible(page)
    await page.keyboard.press('Escape')
    await button(page, 'Ogólne').click()
    await page.getByRole('menuitem', { name: 'Preferencje…' }).click()
    await page.getByRole('checkbox', { name: 'Użyj skrzynki w chmurze', exact: true }).click()
    await button(page, 'Użyj tego PIN-u').click()
    await expectAccessible(page)
    await button(page, 'Dalej').click()
    await field(page, 'Adres przekaźnika').fill(away)
    await button(page, 'Sprawdź').click()
    await page.getByText('Pod tym adresem nic nie odpowiada.').waitFor()
    await expectAccessible(page)
    await field(page, 'Adres przekaźnika').fill(relayAddress)
    await button(page, 'Dalej').click()
    await page.getByText('połączono', { exact: true }).waitFor()
    await expectAccessible(page)
    await page.keyboard.press('Escape')
    await button(page, 'Skrzynka w chmurze: połączono').waitFor()
  })
})
