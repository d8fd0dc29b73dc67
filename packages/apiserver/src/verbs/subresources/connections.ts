/** Subresources that are connections to a node: listed here, answered by http/node-proxy.ts. */
import type { Verb } from '../../registry/resource.ts'
import type { Subresources } from '../environment.ts'

const OPEN: readonly Verb[] = ['create', 'get']
const ANY: readonly Verb[] = ['create', 'delete', 'get', 'patch', 'update']

export const CONNECTIONS: Subresources = {
  pods: [
    { name: 'attach', kind: 'PodAttachOptions', verbs: OPEN },
    { name: 'exec', kind: 'PodExecOptions', verbs: OPEN },
    { name: 'log', kind: 'Pod', verbs: ['get'] },
    { name: 'portforward', kind: 'PodPortForwardOptions', verbs: OPEN },
    { name: 'proxy', kind: 'PodProxyOptions', verbs: ANY },
  ],
  services: [{ name: 'proxy', kind: 'ServiceProxyOptions', verbs: ANY }],
  nodes: [{ name: 'proxy', kind: 'NodeProxyOptions', verbs: ANY }],
}
