/** A wire that can be tapped and cut: passes TCP connections on, and keeps every byte of both directions. */
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { afterwards } from './processes.js'

export class TcpProxy {
  private readonly pieces: Buffer[] = []
  private readonly sockets = new Set<Socket>()

  private constructor(
    private readonly server: Server,
    readonly port: number,
  ) {}

  static async open(target: number): Promise<TcpProxy> {
    const server = createServer((socket) => proxy.pass(socket, target))
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const proxy = new TcpProxy(server, (server.address() as AddressInfo).port)
    afterwards(() => proxy.close())
    return proxy
  }

  /** Everything so far, in the order in which it came. */
  get captured(): Buffer {
    return Buffer.concat(this.pieces)
  }

  /** Through those that stand nothing passes from here on, and nobody is told. */
  freeze(): void {
    for (const socket of this.sockets) socket.removeAllListeners('data')
  }

  close(): void {
    for (const socket of this.sockets) socket.destroy()
    this.server.close()
  }

  private pass(near: Socket, target: number): void {
    const far = connect(target, '127.0.0.1')
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      this.sockets.add(from)
      from.on('data', (bytes: Buffer) => {
        this.pieces.push(bytes)
        to.write(bytes)
      })
      from.on('error', () => {})
      from.on('close', () => {
        this.sockets.delete(from)
        to.destroy()
      })
    }
  }
}
