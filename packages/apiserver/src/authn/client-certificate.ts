/** Client certificates: their subject is a user and its groups. */
import type { PeerCertificate, TLSSocket } from 'node:tls'
import type { UserInfo } from '@caisson/api'

/** What is read of a peer's certificate. */
export type ClientCertificate = Pick<PeerCertificate, 'valid_from' | 'valid_to'> & {
  subject: { CN?: string | string[] | undefined; O?: string | string[] | undefined }
}

const certificates = new WeakMap<TLSSocket, ClientCertificate | undefined>()

/**
 * The certificate of a connection's client, where it gave one and TLS verified it against the authority that the server
 * was given; looked up once for each connection.
 */
export function peerCertificateOf(socket: TLSSocket): ClientCertificate | undefined {
  if (certificates.has(socket)) return certificates.get(socket)
  const certificate = socket.authorized ? socket.getPeerCertificate() : undefined
  // Node answers an empty object where there is no certificate.
  const found = certificate && Object.keys(certificate).length > 0 ? (certificate as ClientCertificate) : undefined
  certificates.set(socket, found)
  return found
}

interface Identity {
  user: UserInfo
  from: number
  until: number
}

const identities = new WeakMap<ClientCertificate, Identity | undefined>()

/**
 * The user that a verified certificate names; undefined where it names none, or is not valid at `now`: a connection can
 * outlive the certificate that opened it.
 */
export function userOfCertificate(certificate: ClientCertificate, now: number): UserInfo | undefined {
  let identity = identities.get(certificate)
  if (!identity && !identities.has(certificate)) {
    identity = identityOf(certificate)
    identities.set(certificate, identity)
  }
  return identity && identity.from <= now && now < identity.until ? identity.user : undefined
}

function identityOf({ subject, valid_from, valid_to }: ClientCertificate): Identity | undefined {
  // Two common names are an attempt to be two people.
  if (typeof subject?.CN !== 'string' || subject.CN === '') return undefined
  const organizations = typeof subject.O === 'string' ? [subject.O] : (subject.O ?? [])
  const from = Date.parse(valid_from)
  const until = Date.parse(valid_to)
  if (Number.isNaN(from) || Number.isNaN(until)) return undefined
  return { user: { username: subject.CN, groups: organizations }, from, until }
}
