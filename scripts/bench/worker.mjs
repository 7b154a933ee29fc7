/** The answering half of a worker process: methods by name, results back, events unasked. */

/** One clock for all processes of this machine, in ms. */
export const clock = () => Number(process.hrtime.bigint()) / 1e6

export const tell = (event) => process.send({ event })

export function serve(methods) {
  process.on('message', async ({ number, method, args }) => {
    try {
      process.send({ number, result: await methods[method](...args) })
    } catch (error) {
      process.send({ number, error: String(error?.stack ?? error) })
    }
  })
  process.on('disconnect', () => process.exit(0))
  // A bench that is broken off ends its workers itself.
  process.on('SIGINT', () => {})
}
