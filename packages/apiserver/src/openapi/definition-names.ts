/** Names of definitions: `io.k8s.api.core.v1.Pod`, and `io.x-k8s.agents.v1beta1.Sandbox` for a custom resource. */

export const META = 'io.k8s.apimachinery.pkg.apis.meta.v1'

const NATIVE: Readonly<Record<string, string>> = {
  '': 'io.k8s.api.core',
  'apiextensions.k8s.io': 'io.k8s.apiextensions-apiserver.pkg.apis.apiextensions',
}

/** The definition of `kind` in the group version of `resource`. */
export function definitionName(
  { group, version, custom }: { group: string; version: string; custom?: boolean | undefined },
  kind: string,
): string {
  if (custom) return `${group.split('.').reverse().join('.')}.${version}.${kind}`
  const prefix = Object.hasOwn(NATIVE, group) ? NATIVE[group] : `io.k8s.api.${group.split('.')[0]}`
  return `${prefix}.${version}.${kind}`
}
