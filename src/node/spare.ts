/**
 * A start without what nobody needs. The codec of the local link asks of all that comes whether it is a form, and
 * Node would load its HTTP client, a sixteenth of a start, to know what that is. No form ever comes.
 */
export function spareForms(): void {
  Object.defineProperty(globalThis, 'FormData', {
    value: class FormData {},
    configurable: true,
    writable: true,
  })
}
