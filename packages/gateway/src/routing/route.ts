/** What a request asks the router for: which Sandbox, which of its ports, and what is to arrive there. */
import type { IncomingHttpHeaders } from 'node:http'
import { BlockList, isIP } from 'node:net'
import { dns1123Label } from '@caisson/api'
import { RouterError } from '../router-error.ts'

export interface Route {
  namespace: string
  /** The Sandbox's name. */
  id: string
  port: number
  /** Of the Sandbox, where the caller says which one of that name it means. */
  uid: string | undefined
  /** Path and query as the sandbox is to see them, byte for byte. */
  url: string
  /** What the client has in front of that, where the path says which Sandbox: `/router/team/box/80`. */
  base?: string
  /** Silence that the caller bears, where it says so. */
  timeoutMs: number | undefined
}

const DEFAULT_NAMESPACE = 'default'
const DEFAULT_PORT = 8888
/** A day. */
const LONGEST_TIMEOUT_S = 86_400

/**
 * Reads the headers `X-Sandbox-ID`, `-Namespace`, `-Port`, `-UID`, `-Pod-IP` and `-Timeout`.
 *
 * @param url the request's target, as it came
 * @param allowLoopback whether a Pod's address may be one of loopback
 * @throws RouterError 400, in the words of agent-sandbox's own router
 */
export function routeOfHeaders(headers: IncomingHttpHeaders, url: string, allowLoopback = false): Route {
  const id = headerOf(headers, 'x-sandbox-id')
  if (id === undefined) throw new RouterError(400, 'X-Sandbox-ID header is required.')
  if (!isDnsLabel(id)) throw new RouterError(400, 'Invalid sandbox ID format.')
  const namespace = headerOf(headers, 'x-sandbox-namespace') ?? DEFAULT_NAMESPACE
  if (!isDnsLabel(namespace)) throw new RouterError(400, 'Invalid namespace format.')
  const portText = headerOf(headers, 'x-sandbox-port')
  const port = portText === undefined ? DEFAULT_PORT : parsePort(portText)
  if (port === undefined) throw new RouterError(400, 'Invalid port format.')
  // Looked at, and not used: a Sandbox's own Pod is known, and nothing else is connected to.
  const podIp = headerOf(headers, 'x-sandbox-pod-ip')
  if (podIp !== undefined && !isRoutable(podIp, allowLoopback)) throw new RouterError(400, 'Invalid target IP address.')
  const timeoutMs = timeoutOf(headers)
  return { namespace, id, port, uid: headerOf(headers, 'x-sandbox-uid'), url: originForm(url), timeoutMs }
}

export function isDnsLabel(text: string): boolean {
  return dns1123Label(text).length === 0
}

/** Undefined where the text is no port. */
export function parsePort(text: string): number | undefined {
  if (!/^\d{1,5}$/.test(text)) return undefined
  const port = Number(text)
  return port >= 1 && port <= 65_535 ? port : undefined
}

/** ms of `X-Sandbox-Timeout`, which is in seconds; what is none of that counts for nothing. */
export function timeoutOf(headers: IncomingHttpHeaders): number | undefined {
  const seconds = Number(headerOf(headers, 'x-sandbox-timeout'))
  return seconds > 0 ? Math.ceil(Math.min(seconds, LONGEST_TIMEOUT_S) * 1000) : undefined
}

/** A header that is empty is none; one that came several times is what Node joins it to, which is nothing valid. */
function headerOf(headers: IncomingHttpHeaders, name: string): string | undefined {
  const value = headers[name]
  return value === undefined || value === '' ? undefined : String(value)
}

/** The path and query of a request's target, which a client of a proxy may write with the scheme and the host. */
function originForm(url: string): string {
  if (url.startsWith('/')) return url
  const absolute = /^https?:\/\/[^/?#]*(?<rest>.*)$/i.exec(url)?.groups?.['rest']
  if (absolute === undefined) throw new RouterError(400, 'Invalid request target.')
  return absolute.startsWith('/') ? absolute : `/${absolute}`
}

const LOOPBACK = new BlockList()
LOOPBACK.addSubnet('127.0.0.0', 8, 'ipv4')
LOOPBACK.addAddress('::1', 'ipv6')
const UNROUTABLE = new BlockList()
for (const [network, bits] of [
  ['0.0.0.0', 32],
  ['169.254.0.0', 16],
  ['224.0.0.0', 4],
] as const)
  UNROUTABLE.addSubnet(network, bits, 'ipv4')
for (const [network, bits] of [
  ['::', 128],
  ['fe80::', 10],
  ['ff00::', 8],
] as const)
  UNROUTABLE.addSubnet(network, bits, 'ipv6')

/** Whether a Pod could have the address: loopback, link-local, multicast and unspecified ones belong to none. */
export function isRoutable(address: string, allowLoopback: boolean): boolean {
  const family = isIP(address) === 4 ? 'ipv4' : 'ipv6'
  if (isIP(address) === 0 || UNROUTABLE.check(address, family)) return false
  return allowLoopback || !LOOPBACK.check(address, family)
}
