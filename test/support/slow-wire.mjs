/** Loaded before the program (`--import`), it sends over TCP at the pace of a slow line: 250 KB a second. */
import { Socket } from 'node:net'

const BYTES_PER_MS = 250

const { _write: write, _writev: writev } = Socket.prototype

/** The next write waits for the callback of the one before it. */
function later(bytes, callback) {
  return (error) => setTimeout(callback, bytes / BYTES_PER_MS, error)
}

Socket.prototype._write = function (chunk, encoding, callback) {
  return write.call(this, chunk, encoding, later(chunk.length, callback))
}

Socket.prototype._writev = function (chunks, callback) {
  const bytes = chunks.reduce((sum, { chunk }) => sum + chunk.length, 0)
  return writev.call(this, chunks, later(bytes, callback))
}
