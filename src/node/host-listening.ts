/** Why a host can't listen, as a value with a sentence for a person. */
import { isPlainAddress, parseAddress } from './host-address.js'
import type { Transports } from './host-transports.js'

export interface ListenError {
  code: 'listen-failed'
  address: string
  sentence: string
}

/** The first of these multiaddrs that nobody can listen on. */
export function unusableAddress(listen: readonly string[]): ListenError | undefined {
  const address = listen.find((each) => {
    const parsed = parseAddress(each)
    return parsed === undefined || !isPlainAddress(parsed)
  })
  return address === undefined ? undefined : listenError(address, 'unusable')
}

/** The failure as a value where it is one of listening; everything else is a bug and thrown on. */
export function listenFailure(transports: Transports, error: unknown): ListenError {
  const failure = transports.listenFailures[0]
  if (failure === undefined) throw error
  return listenError(failure.address, failure.reason)
}

export function listenError(address: string, reason: string): ListenError {
  return {
    code: 'listen-failed',
    address,
    sentence: `Kartoteka can't listen on ${address}: ${explain(reason)}`,
  }
}

function explain(reason: string): string {
  switch (reason) {
    case 'EADDRINUSE':
      return 'another program uses this port. Stop it, or choose another port.'
    case 'EADDRNOTAVAIL':
      return 'this computer has no such address.'
    case 'EACCES':
      return 'the system does not allow it. Choose a port above 1023.'
    case 'unusable':
      return 'an address looks like /ip4/0.0.0.0/tcp/4001 or /ip4/0.0.0.0/tcp/4002/ws.'
    default:
      return `${reason}.`
  }
}
