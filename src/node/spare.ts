/**
 * A start without what nobody needs. The codec of the local link asks of all that comes whether it is a form, and
 * Node would load its HTTP client, a sixteenth of a start, to know what that is. No form ever comes.
 */
export function spareForms(): void {
  // Assigned, not defined: to define it Node 22 and newer would first load what stands there.
  Object.assign(globalThis, { FormData: class FormData {} })
}
