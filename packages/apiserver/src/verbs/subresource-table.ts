import { resourceKey } from '../registry/registry.ts'
import type { Resource } from '../registry/resource.ts'
import type { Subresource, Subresources } from './environment.ts'
import { CERTIFICATE_APPROVAL } from './subresources/certificate-approval.ts'
import { CONNECTIONS } from './subresources/connections.ts'
import { EPHEMERAL_CONTAINERS, NAMESPACE_FINALIZE, RESIZE } from './subresources/narrow-updates.ts'
import { POD_BINDING } from './subresources/pod-binding.ts'
import { POD_EVICTION } from './subresources/pod-eviction.ts'
import { SCALE } from './subresources/scale.ts'
import { statusOf } from './subresources/status.ts'

const BUILTIN: Subresources = {
  ...CONNECTIONS,
  pods: [POD_BINDING, POD_EVICTION, EPHEMERAL_CONTAINERS, RESIZE, ...(CONNECTIONS['pods'] ?? [])],
  namespaces: [NAMESPACE_FINALIZE],
  'certificatesigningrequests.certificates.k8s.io': [CERTIFICATE_APPROVAL],
}

/** The subresources of each kind: those that its definition declares, the built-in ones, and `further`. */
export function subresourceTable(further: Subresources): (resource: Resource) => readonly Subresource[] {
  const known = new WeakMap<Resource, readonly Subresource[]>()
  return (resource) => {
    let found = known.get(resource)
    if (!found) {
      const key = resourceKey(resource)
      found = [
        ...(resource.status ? [statusOf(resource)] : []),
        ...(resource.scale ? [SCALE] : []),
        ...(BUILTIN[key] ?? []),
        ...(further[key] ?? []),
      ].sort((a, b) => (a.name < b.name ? -1 : 1))
      known.set(resource, found)
    }
    return found
  }
}
