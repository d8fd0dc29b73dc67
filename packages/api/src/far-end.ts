import type { Socket } from 'node:net'

/** Of a connection: what TLS and what is below it have in common. */
export function farEnd({ remoteAddress, remotePort }: Pick<Socket, 'remoteAddress' | 'remotePort'>): string {
  return `${remoteAddress} ${remotePort}`
}
