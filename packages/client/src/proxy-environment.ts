import { BlockList, isIP } from 'node:net'

/**
 * The proxy that HTTPS_PROXY or HTTP_PROXY name for a server, unless NO_PROXY excepts it: what kubectl does where the
 * kubeconfig has no `proxy-url`. This machine itself is never asked for through a proxy.
 */
export function proxyFromEnvironment(server: URL, env: NodeJS.ProcessEnv = process.env): string | undefined {
  const name = server.protocol === 'https:' ? 'HTTPS_PROXY' : 'HTTP_PROXY'
  const proxy = env[name] || env[name.toLowerCase()]
  if (!proxy) return undefined
  const host = server.hostname.replace(/^\[|\]$/g, '').toLowerCase()
  const port = server.port || (server.protocol === 'https:' ? '443' : '80')
  if (host === 'localhost' || host.endsWith('.localhost') || isLoopback(host)) return undefined
  const exceptions = (env['NO_PROXY'] || env['no_proxy'] || '').split(',').map((each) => each.trim().toLowerCase())
  if (exceptions.some((each) => each !== '' && excepts(each, host, port))) return undefined
  return proxy.includes('://') ? proxy : `http://${proxy}`
}

/** `*`, a network, an address, or a domain with all below it; each but the first may name a port. */
function excepts(exception: string, host: string, port: string): boolean {
  if (exception === '*') return true
  const [, address = exception, onlyPort] = /^(\[[^\]]+\]|[^:]+):(\d+)$/.exec(exception) ?? []
  if (onlyPort !== undefined && onlyPort !== port) return false
  const name = address.replace(/^\[|\]$/g, '')
  const [network = '', prefix] = name.split('/')
  if (isIP(network) !== 0) return prefix === undefined ? network === host : isWithin(host, network, Number(prefix))
  const domain = name.replace(/^\*?\./, '')
  return host.endsWith(`.${domain}`) || (host === domain && !name.startsWith('.'))
}

function isWithin(host: string, network: string, prefix: number): boolean {
  const family = isIP(network)
  if (isIP(host) !== family || !(prefix >= 0 && prefix <= (family === 4 ? 32 : 128))) return false
  const list = new BlockList()
  list.addSubnet(network, prefix, family === 4 ? 'ipv4' : 'ipv6')
  return list.check(host, family === 4 ? 'ipv4' : 'ipv6')
}

function isLoopback(host: string): boolean {
  return host === '::1' || isWithin(host, '127.0.0.0', 8)
}
