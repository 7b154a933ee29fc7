/**
 * One after the other: what makes cases by ids that were given. Two at once would each find that there is no such case
 * yet, and make it twice: both texts would stand in it, one behind the other.
 */
export function turns() {
  let last: Promise<unknown> = Promise.resolve()
  return <T>(work: () => Promise<T>): Promise<T> => {
    const done = last.then(work, work)
    last = done
    return done
  }
}
