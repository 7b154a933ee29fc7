/**
 * Shows the window: an app window of an installed Chromium-family browser, else the default browser.
 *
 * The address holds a one-time code, and a program's arguments are visible to every user of the
 * computer. So the browser is given a page that only this user can read, and that page goes on to
 * the address. The browser is started directly, with a profile of its own and no debugging port.
 */
import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { access, chmod, constants, mkdir, readdir, realpath, rm, stat, writeFile } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { CODE_LIFETIME_MS } from './local-server-codes.js'

/** How the window was opened; null: it couldn't be, print the address. */
export type WindowKind = 'app' | 'browser' | null

export interface WindowOptions {
  url: string
  /** The data folder. */
  folder: string
  env?: NodeJS.ProcessEnv
  platform?: NodeJS.Platform
  /** Opens a page in the default browser; false when it can't. */
  openDefault?: (page: string) => Promise<boolean>
}

/** A browser that can't run here says so at once; one that hands over to a running one ends well. */
const EARLY_END_MS = 700

export async function openWindow(options: WindowOptions): Promise<WindowKind> {
  const { env = process.env, platform = process.platform } = options
  if (!hasScreen(env, platform)) return null
  const folder = join(options.folder, 'window')
  const profile = join(folder, 'profile')
  await mkdir(profile, { recursive: true, mode: 0o700 })
  await Promise.all([folder, profile].map((path) => chmod(path, 0o700)))
  const page = pathToFileURL(await writeLaunchPage(folder, options.url)).href
  const browser = await findAppBrowser(env, platform)
  if (browser !== null && (await startApp(browser, appArguments(page, profile), env))) return 'app'
  return (await (options.openDefault ?? openDefaultBrowser)(page)) ? 'browser' : null
}

/** A page readable by this user only that goes on to `url`. Earlier ones whose code has expired go. */
export async function writeLaunchPage(folder: string, url: string): Promise<string> {
  await sweepLaunchPages(folder)
  const file = join(folder, `open-${randomBytes(9).toString('base64url')}.html`)
  const target = url.replaceAll('&', '&amp;').replaceAll('"', '&quot;')
  const page = `<!doctype html><meta charset="utf-8"><meta name="referrer" content="no-referrer">
<meta http-equiv="refresh" content="0;url=${target}"><title>Kartoteka</title>\n`
  await writeFile(file, page, { mode: 0o600, flag: 'wx' })
  return file
}

async function sweepLaunchPages(folder: string): Promise<void> {
  const names = await readdir(folder)
  for (const name of names.filter((name) => /^open-.*\.html$/.test(name))) {
    const file = join(folder, name)
    const age =
      Date.now() -
      (await stat(file)
        .then((s) => s.mtimeMs)
        .catch(() => 0))
    if (age > CODE_LIFETIME_MS) await rm(file, { force: true })
  }
}

export function appArguments(page: string, profile: string): string[] {
  return [
    `--app=${page}`,
    `--user-data-dir=${profile}`,
    '--no-first-run',
    '--no-default-browser-check',
    '--disable-extensions',
    '--disable-sync',
    '--disable-background-networking',
    '--disable-component-update',
  ]
}

function hasScreen(env: NodeJS.ProcessEnv, platform: NodeJS.Platform): boolean {
  if (platform === 'darwin' || platform === 'win32') return true
  return Boolean(env.DISPLAY || env.WAYLAND_DISPLAY)
}

const LINUX_NAMES = [
  'chromium',
  'chromium-browser',
  'google-chrome',
  'google-chrome-stable',
  'microsoft-edge',
  'brave-browser',
  'vivaldi',
]
const MAC_NAMES = ['Google Chrome', 'Chromium', 'Microsoft Edge', 'Brave Browser', 'Vivaldi']
const WINDOWS_PATHS = [
  'Google\\Chrome\\Application\\chrome.exe',
  'Microsoft\\Edge\\Application\\msedge.exe',
  'BraveSoftware\\Brave-Browser\\Application\\brave.exe',
  'Chromium\\Application\\chrome.exe',
]

/** The first installed browser that can show an app window, or null. */
async function findAppBrowser(env: NodeJS.ProcessEnv, platform: NodeJS.Platform): Promise<string | null> {
  // Chromium refuses to run as root unless its sandbox is given up, and that isn't worth a window.
  if (platform === 'linux' && process.getuid?.() === 0) return null
  for (const path of candidates(env, platform)) {
    const found = await access(path, constants.X_OK).then(
      () => realpath(path),
      () => null,
    )
    // A snap can't read the hidden folders in which our data lies.
    if (found !== null && !found.includes('/snap')) return path
  }
  return null
}

function candidates(env: NodeJS.ProcessEnv, platform: NodeJS.Platform): string[] {
  if (platform === 'darwin')
    return ['/Applications', join(env.HOME ?? '/', 'Applications')].flatMap((folder) =>
      MAC_NAMES.map((name) => `${folder}/${name}.app/Contents/MacOS/${name}`),
    )
  if (platform === 'win32')
    return [env.PROGRAMFILES, env['PROGRAMFILES(X86)'], env.LOCALAPPDATA]
      .filter((folder) => folder !== undefined)
      .flatMap((folder) => WINDOWS_PATHS.map((path) => join(folder, path)))
  const folders = (env.PATH ?? '').split(delimiter).filter((folder) => folder.startsWith('/'))
  return LINUX_NAMES.flatMap((name) => folders.map((folder) => join(folder, name)))
}

/** false when the browser couldn't be started or gave up at once. */
function startApp(browser: string, args: string[], env: NodeJS.ProcessEnv): Promise<boolean> {
  return new Promise((resolve) => {
    const child = spawn(browser, args, { detached: true, stdio: 'ignore', env })
    const timer = setTimeout(() => resolve(true), EARLY_END_MS)
    child.once('error', () => resolve(false))
    child.once('exit', (code) => {
      clearTimeout(timer)
      resolve(code === 0)
    })
    child.unref()
  })
}

async function openDefaultBrowser(page: string): Promise<boolean> {
  try {
    const { default: open } = await import('open')
    const child = await open(page)
    child.once('error', () => {})
    return true
  } catch {
    return false
  }
}
