import type { Discovery } from '../discovery/discovery.ts'
import type { PathHandler } from '../pipeline.ts'
import type { Answer, Call } from '../verbs/call.ts'
import { formNotAcceptable, pathNotServed } from '../verbs/errors.ts'
import { tagOf, unlessKnown } from './known-document.ts'
import { acceptedForm } from './negotiate.ts'

const AGGREGATED = 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList'

/**
 * The handlers of `/api`, `/apis`, `/apis/GROUP`, `/api/v1` and `/apis/GROUP/VERSION`.
 *
 * @param address where the server listens, as `host:port`
 */
export function discoveryPaths(discovery: Discovery, address: () => string): (path: string) => PathHandler | undefined {
  return (path) => {
    const parts = path.split('/').filter((part) => part !== '')
    const [prefix, group = '', version = ''] = parts
    if (prefix === 'api') {
      if (parts.length === 1) return (call) => root(call, '/api')
      if (parts.length === 2) return () => found(discovery.resources('', group))
    }
    if (prefix === 'apis') {
      if (parts.length === 1) return (call) => root(call, '/apis')
      // Below a group that is not built in, kube-apiserver answers as for any path that it does not know.
      if (parts.length > 3) return undefined
      const document = parts.length === 2 ? discovery.group(group) : discovery.resources(group, version)
      if (!document && !discovery.isBuiltin(group)) return undefined
      return () => found(document)
    }
    return undefined
  }

  function root(call: Call, path: '/api' | '/apis'): Answer {
    const accepted = acceptedForm(call.accept)
    if (accepted?.as !== 'object') throw formNotAcceptable()
    if (accepted.aggregated) {
      const body = discovery.aggregated(path)
      return unlessKnown(call, tagOfDocument(body), {
        status: 200,
        body,
        contentType: AGGREGATED,
        cacheControl: 'public',
      })
    }
    return { status: 200, body: path === '/api' ? discovery.coreVersions(address()) : discovery.groups() }
  }
}

/** Documents are the same objects until something else is served. */
const tags = new WeakMap<object, string>()

function tagOfDocument(document: object): string {
  const known = tags.get(document)
  if (known !== undefined) return known
  const tag = tagOf(JSON.stringify(document))
  tags.set(document, tag)
  return tag
}

function found(document: object | undefined): Answer {
  if (!document) throw pathNotServed()
  return { status: 200, body: document }
}
