/** The APIServices of what this server serves itself, one for each group version. */

import type { ApiServiceSpec } from '../registry/builtin/api-service.ts'
import { groupVersion, type Registry } from '../registry/registry.ts'

export const AUTOMANAGED = 'kube-aggregator.kubernetes.io/automanaged'

export interface LocalService {
  name: string
  /** `true` for groups that definitions bring: it goes with the last of them. */
  automanaged: 'onstart' | 'true'
  spec: ApiServiceSpec
}

/** Those of kube-apiserver, by group; a group's versions are in the order of their preference. */
const PRIORITIES: Readonly<Record<string, number>> = {
  '': 18_000,
  apps: 17_800,
  'events.k8s.io': 17_750,
  'authentication.k8s.io': 17_700,
  'authorization.k8s.io': 17_600,
  autoscaling: 17_500,
  batch: 17_400,
  'certificates.k8s.io': 17_300,
  'networking.k8s.io': 17_200,
  policy: 17_100,
  'rbac.authorization.k8s.io': 17_000,
  'storage.k8s.io': 16_800,
  'apiextensions.k8s.io': 16_700,
  'admissionregistration.k8s.io': 16_700,
  'scheduling.k8s.io': 16_600,
  'coordination.k8s.io': 16_500,
  'node.k8s.io': 16_300,
  'discovery.k8s.io': 16_200,
  'flowcontrol.apiserver.k8s.io': 16_100,
  'metrics.k8s.io': 100,
}
const CUSTOM_PRIORITY = 1000
const BEST_VERSION = 15
const CUSTOM_VERSION = 100

/** Of all but the group of APIServices itself, which has none elsewhere either. */
export function localServices(registry: Pick<Registry, 'all'>): ReadonlyMap<string, LocalService> {
  const services = new Map<string, LocalService>()
  const versions = new Map<string, number>()
  for (const { group, version, custom = false } of registry.all()) {
    const name = `${version}.${group}`
    if (group === 'apiregistration.k8s.io' || services.has(name)) continue
    const before = versions.get(group) ?? 0
    versions.set(group, before + 1)
    services.set(name, {
      name,
      automanaged: custom ? 'true' : 'onstart',
      spec: {
        ...(group !== '' && { group }),
        version,
        groupPriorityMinimum: PRIORITIES[group] ?? CUSTOM_PRIORITY,
        versionPriority: Math.max(1, (custom ? CUSTOM_VERSION : BEST_VERSION) - before),
      },
    })
  }
  return services
}

/** Whether the server itself answers for it, whatever an APIService says. */
export function isLocal(
  registry: Pick<Registry, 'hasGroupVersion'>,
  { group = '', version = '' }: ApiServiceSpec,
): boolean {
  return registry.hasGroupVersion(group, version) || groupVersion({ group, version }) === 'apiregistration.k8s.io/v1'
}
