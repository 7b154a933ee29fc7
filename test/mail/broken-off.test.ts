/** A connection breaks while one of two devices can't read a case: nobody else comes to claim it without having it. */
import { expect, test } from 'vitest'
import type { MailDevice } from '../support/mail-world.js'
import { MailBench } from './mail-bench.js'

let bench: MailBench

/** a and d hold cases, and nothing is retained of them; a can't read one, and is connected to c for so many messages. */
async function begin(kind: string, messages: number): Promise<[MailDevice, MailDevice, MailDevice]> {
  const begun = await MailBench.begin(7, 'a', 'c', 'd')
  bench = begun.bench
  const [a, c, d] = begun.devices
  await bench.create(a, 'one', 'two', 'three', 'four')
  await bench.phone(a, 'one', 'a sentence')
  await bench.meet(a, d)
  for (const device of [a, d]) await bench.forget(device)
  await bench.rot(a, 'one', kind)
  const wire = bench.connect(a, c)
  for (let left = messages; left > 0; left--) {
    if (!bench.deliver(wire, true) && !bench.deliver(wire, false)) bench.clock.pass(500)
    await bench.settle()
  }
  bench.cut(wire)
  await bench.settle()
  return [a, c, d]
}

test.each(['p', 'c'])('[T1] whole states that another giver goes on with (%s)', async (kind) => {
  for (let messages = 1; messages < 20; messages++) {
    const [, c, d] = await begin(kind, messages)
    await bench.meet(c, d)
    expect(c.replica.digest()).toEqual(d.replica.digest())
    expect({ messages, lines: (await c.lines()).length, damaged: c.replica.damaged.size }).toEqual({
      messages,
      lines: 4,
      damaged: 0,
    })
    await bench.stop()
  }
})

test('[H5] who said that it lacks a case, and has it by now, tells it to who settled without', async () => {
  for (let messages = 10; messages < 24; messages++) {
    const [a, c, d] = await begin('p', messages)
    await bench.meet(c, d)
    for (const device of [c, d]) await bench.forget(device)
    await bench.rot(d, 'one', 'p')
    await bench.meet(a, d)
    await bench.meetAll([a, c, d])
    for (const device of [a, c, d])
      expect(`${messages} ${device.name} ${(await device.lines()).join()}`).toContain('a sentence')
    await bench.stop()
  }
})
