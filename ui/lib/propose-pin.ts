/** A Cloud PIN to offer: eight even digits. The device checks it like any other. */

const digits = 8
/** The largest multiple of ten that a byte holds: what lies above would favour some digits. */
const even = 250

export function proposePin(): string {
  let pin = ''
  while (pin.length < digits) {
    const [byte = even] = crypto.getRandomValues(new Uint8Array(1))
    if (byte < even) pin += byte % 10
  }
  return pin
}
