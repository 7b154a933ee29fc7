/** What the relay has lost doesn't count as delivered, however short the visits of its sender are. */
import { afterEach, expect, test } from 'vitest'
import { MailBench } from './mail-bench.js'

let bench: MailBench
afterEach(() => bench.stop())

test('[L5] mail that the relay has lost is left anew by who is there for moments only, and is said to be left then', async () => {
  const begun = await MailBench.begin(61, 'a', 'b')
  bench = begun.bench
  const [a, b] = begun.devices
  await bench.create(a, 'one')
  await bench.online(a)
  expect((await bench.held(b, a)).count).toBe(1)
  await bench.relay.expire()
  // As a command does: it goes once all is delivered.
  const wire = await bench.connectMail(a, bench.relay)
  await bench.quiesce()
  const delivered = a.mail.whenDelivered(2_500)
  let ms = 0
  let answer: boolean | undefined
  void delivered.then((is) => {
    answer = is
  })
  for (; answer === undefined && ms < 10_000; ms += 100) await bench.pass(100, 100)
  bench.cutMail(wire)
  await bench.quiesce()
  expect({ answer, isSoon: ms < 2_500 }).toEqual({ answer: true, isSoon: true })
  expect(bench.relay.rows).toBe(1)
  await bench.online(b)
  expect(await b.lines()).toEqual(await a.lines())
})
