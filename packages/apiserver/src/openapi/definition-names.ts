/** Names of definitions and references to them: `io.k8s.api.core.v1.Pod`, and `io.x-k8s.agents.v1beta1.Sandbox` for a custom resource. */

export type Form = 'v2' | 'v3'
export type Json = Record<string, unknown>

export const META = 'io.k8s.apimachinery.pkg.apis.meta.v1'

const NATIVE: Readonly<Record<string, string>> = {
  '': 'io.k8s.api.core',
  'apiextensions.k8s.io': 'io.k8s.apiextensions-apiserver.pkg.apis.apiextensions',
  'apiregistration.k8s.io': 'io.k8s.kube-aggregator.pkg.apis.apiregistration',
  'metrics.k8s.io': 'io.k8s.metrics.pkg.apis.metrics',
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

/** Where definitions are in a document of the form. */
export const PREFIX: Readonly<Record<Form, string>> = { v2: '#/definitions/', v3: '#/components/schemas/' }

export function reference(form: Form, name: string): { $ref: string } {
  return { $ref: `${PREFIX[form]}${name}` }
}

/** The `metadata` of an object or a list. In v3 a description stands beside it, so the reference is wrapped. */
export function metadataReference(form: Form, kind: 'ObjectMeta' | 'ListMeta'): Json {
  const target = reference(form, `${META}.${kind}`)
  return form === 'v3' ? { allOf: [target] } : target
}
