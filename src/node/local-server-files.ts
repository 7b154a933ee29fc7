/** The built window: a fixed list of files, read when asked for. A path that isn't on the list isn't there. */
import { readdir, readFile } from 'node:fs/promises'
import { extname, join, relative, sep } from 'node:path'

export interface WindowFile {
  type: string
  body: Buffer
}

const TYPES: Record<string, string> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.json': 'application/json; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.ico': 'image/x-icon',
  '.woff2': 'font/woff2',
  '.txt': 'text/plain; charset=utf-8',
}

const NOT_BUILT: WindowFile = {
  type: 'text/html; charset=utf-8',
  body: Buffer.from('<!doctype html><title>Kartoteka</title><p>The window has not been built.</p>\n'),
}

export type FindFile = (path: string) => Promise<WindowFile | null>

export async function createWindowFiles(folder: string): Promise<FindFile> {
  const files = new Map<string, string>()
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => [])
  for (const entry of entries) {
    const file = join(entry.parentPath, entry.name)
    if (entry.isFile()) files.set(`/${relative(folder, file).split(sep).join('/')}`, file)
  }
  return async (path) => {
    const name = path === '/' ? '/index.html' : path
    const file = files.get(name)
    if (file === undefined) return path === '/' ? NOT_BUILT : null
    const type = TYPES[extname(file)] ?? 'application/octet-stream'
    return readFile(file).then(
      (body) => ({ type, body }),
      () => null,
    )
  }
}
