/** What the machine itself allows: one process sends bytes over raw TCP, another takes them and stores them. */
import { readFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { Level } from 'level'
import { clock, serve } from './worker.mjs'

const BATCH = 200

let content
let received = []

serve({
  // ---- the sender
  load(file) {
    content = readFileSync(file)
    return content.length
  },
  /** All of it, until the other side says that it has all; ms after the connection stands. */
  send: (port) =>
    new Promise((resolve, reject) => {
      const socket = connect(port, '127.0.0.1')
      socket.on('error', reject)
      let began
      socket.once('connect', () => {
        began = clock()
        socket.end(content)
      })
      socket.once('data', () => {
        resolve(clock() - began)
        socket.destroy()
      })
    }),

  // ---- the receiver
  listen: () =>
    new Promise((resolve) => {
      const server = createServer({ allowHalfOpen: true }, (socket) => {
        received = []
        socket.on('data', (chunk) => received.push(chunk))
        socket.once('end', () => {
          socket.end('k')
          server.close()
        })
      })
      server.listen(0, '127.0.0.1', () => resolve(server.address().port))
    }),
  /** Stores what was received: one value a case, in batches, the last of them flushed. */
  async store(folder) {
    const bytes = Buffer.concat(received)
    received = []
    const values = []
    for (let at = 0; at < bytes.length; ) {
      const length = bytes.readUInt32LE(at)
      values.push(bytes.subarray(at + 4, at + 4 + length))
      at += 4 + length
    }
    const db = new Level(folder, { keyEncoding: 'utf8', valueEncoding: 'view' })
    await db.open()
    const began = clock()
    for (let at = 0; at < values.length; at += BATCH) {
      const batch = values.slice(at, at + BATCH)
      const puts = batch.map((value, i) => ({ type: 'put', key: keyOf(at + i), value }))
      await db.batch(puts, { sync: at + BATCH >= values.length })
    }
    const ms = clock() - began
    await db.close()
    return ms
  },
  stop() {},
})

const keyOf = (number) => `case-${String(number).padStart(8, '0')}`
