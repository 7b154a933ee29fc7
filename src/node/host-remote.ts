/** Who is at the other end of a connection, and by which path: proved by the handshake. */
import type { Connection } from '@libp2p/interface'
import { type Path, pathOfAddress } from './host-address.js'
import { peerIdToPublicKey } from './peer-id.js'

export interface HostConnection {
  id: string
  address: string
  path: Path
}

export interface RemotePeer extends HostConnection {
  publicKey: Uint8Array
}

export function hostConnection({ remotePeer, remoteAddr }: Connection): HostConnection {
  const address = remoteAddr.toString()
  return { id: remotePeer.toString(), address, path: pathOfAddress(address) }
}

export function remotePeer(connection: Connection): RemotePeer {
  const remote = hostConnection(connection)
  return { ...remote, publicKey: keyOfPeer(remote.id) }
}

/** Connections with other keys than Ed25519 are denied at the handshake. */
export function keyOfPeer(id: string): Uint8Array {
  const publicKey = peerIdToPublicKey(id)
  if (publicKey === undefined) throw new Error(`${id} is no Ed25519 peer`)
  return publicKey
}
