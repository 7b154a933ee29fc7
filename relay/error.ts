/** An expected failure, with the sentence that the operator reads. */
export interface RelayError {
  code: string
  sentence: string
}

export function isRelayError(value: unknown): value is RelayError {
  const { code, sentence } = (value ?? {}) as Partial<RelayError>
  return typeof code === 'string' && typeof sentence === 'string'
}
