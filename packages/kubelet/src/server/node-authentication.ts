/** Who asks the node: by a client certificate that the cluster's authority signed, or by a token that the cluster knows. */
import type { IncomingMessage } from 'node:http'
import { TLSSocket } from 'node:tls'
import type { UserInfo } from '@caisson/api'
import { type Client, resources } from '@caisson/client'

/** Undefined: nobody that is known. Rejects where the cluster could not be asked. */
export type Authenticate = (request: IncomingMessage, signal: AbortSignal) => Promise<UserInfo | undefined>

/** A certificate wins, as it does for kube-apiserver. Nobody is anonymous. */
export function createNodeAuthentication(client: Client, now: () => number): Authenticate {
  return async (request, signal) => {
    const user = userOfCertificate(request, now())
    if (user) return user
    const [, token] = /^Bearer +(\S+) *$/i.exec(request.headers.authorization ?? '') ?? []
    return token === undefined ? undefined : await userOfToken(client, token, signal)
  }
}

/** TLS has verified the chain and the purpose when the connection was made, which the certificate's end may have passed since. */
function userOfCertificate({ socket }: IncomingMessage, now: number): UserInfo | undefined {
  if (!(socket instanceof TLSSocket) || !socket.authorized) return undefined
  const { subject, valid_from: from, valid_to: until } = socket.getPeerCertificate()
  const name: unknown = subject?.CN
  // Two common names are an attempt to be two people.
  if (typeof name !== 'string' || name === '') return undefined
  if (!(Date.parse(from) <= now && now < Date.parse(until))) return undefined
  const organizations: unknown = subject.O ?? []
  return { username: name, groups: [organizations].flat().map(String) }
}

async function userOfToken(client: Client, token: string, signal: AbortSignal): Promise<UserInfo | undefined> {
  const { status } = await client.create(resources.tokenReviews, { metadata: {}, spec: { token } }, { signal })
  const { username, groups = [], uid, extra } = status?.user ?? {}
  if (!status?.authenticated || !username) return undefined
  return { username, groups, ...(uid !== undefined && { uid }), ...(extra && { extra }) }
}
