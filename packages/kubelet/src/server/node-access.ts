/** What a request to the node's API asks to be allowed, as Kubernetes' kubelet names it. */

export interface NodeAccess {
  verb: 'get' | 'create' | 'update' | 'patch' | 'delete'
  /** Subresources of the Node: whoever may use one of them may. */
  subresources: readonly [string, ...string[]]
}

const VERBS: Readonly<Record<string, NodeAccess['verb']>> = {
  GET: 'get',
  HEAD: 'get',
  POST: 'create',
  PUT: 'update',
  PATCH: 'patch',
  DELETE: 'delete',
}

/**
 * What executes in Pods or opens connections to them. A WebSocket begins with GET: by the method alone, who may read from
 * the node could do all this.
 */
const CONNECTING = new Set(['exec', 'attach', 'portForward'])

const SUBRESOURCES: Readonly<Record<string, NodeAccess['subresources']>> = {
  stats: ['stats'],
  metrics: ['metrics'],
  healthz: ['healthz', 'proxy'],
  pods: ['pods', 'proxy'],
}

/**
 * Undefined for a path that can be read in two ways (dots, empty or encoded segments) or a method that nobody has: what is
 * allowed has to be what is done.
 *
 * @param url of the request, as it was sent
 */
export function nodeAccess(method: string | undefined, url: string | undefined): NodeAccess | undefined {
  const verb = Object.hasOwn(VERBS, method ?? '') ? VERBS[method ?? ''] : undefined
  const [path = ''] = (url ?? '').split('?', 1)
  if (!verb || !/^(?:\/[\w.~:@!$&'()*+,;=-]+)+$/.test(path) || /\/\.{1,2}(?:\/|$)/.test(path)) return undefined
  const [, first = ''] = path.split('/')
  return {
    verb: CONNECTING.has(first) ? 'create' : verb,
    subresources: Object.hasOwn(SUBRESOURCES, first) ? (SUBRESOURCES[first] ?? ['proxy']) : ['proxy'],
  }
}
