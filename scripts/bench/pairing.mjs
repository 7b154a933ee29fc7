/** M12: a device is let in. */
import { median, PIN, say } from './fixtures.mjs'

/** With `yes`, nobody is waited for; from the typed code and PIN until the newcomer is a member, and known as one. */
export async function pairing(bench) {
  const host = await bench.author(0)
  const runs = []
  try {
    for (let run = 0; run < bench.runs; run++) {
      const newcomer = await bench.device('newcomer').start()
      const cpu = async () => (await host.call('cpu')) + (await newcomer.call('cpu'))
      const before = await cpu()
      const { code } = await host.ask('device.invite', { pin: PIN, minutes: 10, yes: true })
      const began = performance.now()
      const named = { device: `Newcomer ${run}`, pin: PIN }
      await newcomer.ask('practice.join', { code, addresses: host.addresses, relays: [], ...named })
      const ms = performance.now() - began
      const { devices } = await host.ask('status')
      if (!devices.some(({ name }) => name === named.device)) throw new Error('the newcomer is not listed')
      runs.push({ ms, cpuMs: (await cpu()) - before })
      say(`  M12: ${ms.toFixed(0)} ms`)
      await bench.endDevice(newcomer)
    }
  } finally {
    await bench.endDevice(host)
  }
  const of = (name) => median(runs.map((each) => each[name]))
  return [{ name: 'M12', ms: of('ms'), cpuMs: of('cpuMs'), runs: runs.map(({ ms }) => ms) }]
}
