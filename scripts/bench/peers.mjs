/**
 * How other systems did the same work: one interleaved run on a quiet machine. Times of another machine say
 * nothing here; their multiples of the limit do.
 */
const NAMES = ['ideal', 'Hocuspocus 3.4', 'y-websocket 2.1', 'OrbitDB 3.0', 'Syncthing 1.19']
/** M1, in multiples of a raw TCP copy with a LevelDB bulk write of the same bytes. */
const FIRST_SYNC = {
  1000: [1.6, 43, 57, 112, 44],
  10000: [1.6, 23, 32, 71, 15],
}

/** M1 beside the others; undefined if nothing of it was measured. */
export function comparison(rows) {
  const measured = rows.filter(({ name, n, failed }) => name === 'M1' && FIRST_SYNC[n] && !failed)
  if (measured.length === 0) return undefined
  const head = ['M1, × the limit', 'Kartoteka', ...NAMES]
  const lines = measured.map(({ n, ratio }) => [n.toLocaleString('en'), ratio.toFixed(1), ...FIRST_SYNC[n]])
  return [head, head.map(() => '---'), ...lines].map((cells) => `| ${cells.join(' | ')} |`).join('\n')
}
