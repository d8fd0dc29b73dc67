/** Routing by the path, for browsers, which cannot set headers: `PREFIX/NAMESPACE/ID/PORT/REST…`. */
import type { IncomingHttpHeaders } from 'node:http'
import { RouterError } from '../router-error.ts'
import { isDnsLabel, parsePort, type Route, timeoutOf } from './route.ts'

/**
 * The route that a path names; undefined where it is not below the prefix. Everything behind the port stays as it came,
 * encoded slashes too. Headers have no say: not one of them names the Sandbox of such a request.
 *
 * @throws RouterError 400 where the path is below the prefix and names nothing
 */
export function routeOfPath(prefix: string, url: string, headers: IncomingHttpHeaders): Route | undefined {
  if (!url.startsWith(`${prefix}/`)) return undefined
  const query = url.indexOf('?')
  const path = query < 0 ? url : url.slice(0, query)
  const [namespaceText = '', idText = '', portText = '', ...rest] = path.slice(prefix.length + 1).split('/')
  if (!namespaceText || !idText || !portText) {
    throw new RouterError(400, 'Path-routed request must have the form <prefix>/<namespace>/<id>/<port>/...')
  }
  const namespace = decoded(namespaceText)
  const id = decoded(idText)
  const port = parsePort(decoded(portText))
  if (!isDnsLabel(namespace)) throw new RouterError(400, 'Invalid namespace format.')
  if (!isDnsLabel(id)) throw new RouterError(400, 'Invalid sandbox ID format.')
  if (port === undefined) throw new RouterError(400, 'Invalid port format.')
  const remainder = `/${rest.join('/')}${query < 0 ? '' : url.slice(query)}`
  const base = `${prefix}/${namespace}/${id}/${port}`
  return { namespace, id, port, uid: undefined, url: remainder, base, timeoutMs: timeoutOf(headers) }
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch (cause) {
    throw new RouterError(400, 'Invalid percent-encoding in path.', { cause })
  }
}
