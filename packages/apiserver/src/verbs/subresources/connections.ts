/** Subresources that are connections to a node: listed here, answered by http/node-proxy.ts. */
import type { Verb } from '../../registry/resource.ts'
import type { Subresources } from '../subresource.ts'

const OPEN: readonly Verb[] = ['create', 'get']

export const CONNECTIONS: Subresources = {
  pods: [
    { name: 'attach', kind: 'PodAttachOptions', verbs: OPEN },
    { name: 'exec', kind: 'PodExecOptions', verbs: OPEN },
    { name: 'log', kind: 'Pod', verbs: ['get'] },
    { name: 'portforward', kind: 'PodPortForwardOptions', verbs: OPEN },
  ],
  nodes: [{ name: 'proxy', kind: 'NodeProxyOptions', verbs: ['create', 'delete', 'get', 'patch', 'update'] }],
}
