import { acceptUpgrade, listHeader, refuseUpgrade, type UpgradeRequest } from './upgrade.ts'

/**
 * Negotiates the protocol over SPDY and answers the upgrade: after it the socket speaks SPDY, beginning with `head`.
 * Undefined where it was refused; the client has its answer then.
 */
export function acceptSpdy(
  { request, socket, head }: UpgradeRequest,
  supported: readonly string[],
): string | undefined {
  const asked = listHeader(request, 'x-stream-protocol-version')
  if (asked.length === 0) {
    refuseUpgrade(socket, 400, 'unable to upgrade: X-Stream-Protocol-Version is required')
    return undefined
  }
  const protocol = asked.find((name) => supported.includes(name))
  if (protocol === undefined) {
    refuseUpgrade(
      socket,
      403,
      `unable to upgrade: unable to negotiate protocol: client supports [${asked.join(' ')}], server accepts [${supported.join(' ')}]`,
      supported.map((name) => `X-Accepted-Stream-Protocol-Versions: ${name}`),
    )
    return undefined
  }
  acceptUpgrade(socket, 'SPDY/3.1', [`X-Stream-Protocol-Version: ${protocol}`])
  if (head.length > 0) socket.unshift(head)
  return protocol
}
