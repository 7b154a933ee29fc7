/** The window over a fake device, behind the real local server with its real headers. */
import { createLocalServer } from '../../src/node/local-server.js'
import { FakeDevice, type FakeOptions } from './fake-device.js'

/** What the browser tests need of a served device; a real one can stand in its place. */
export interface ServedWindow<Device> {
  device: Device
  /** A fresh one-time address. */
  url(): string
  close(): Promise<void>
}

export async function serveFake(
  windowFolder: string,
  options: FakeOptions = {},
  port?: number,
): Promise<ServedWindow<FakeDevice>> {
  const device = new FakeDevice(options)
  const server = await createLocalServer({
    device: { ...device.api, id: 'self', online: async () => {}, addresses: () => [] },
    folder: windowFolder,
    onStop: () => {},
    windowFolder,
    ...(port === undefined ? {} : { port }),
  })
  return { device, url: () => server.windowUrl(), close: () => server.close() }
}
