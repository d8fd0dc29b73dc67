/** Labels and annotations that a claim wants on its Pod: whether it may have them, and together with the template's. */
import { ANNOTATIONS, labelValueErrors, type PodTemplate, qualifiedName } from '@caisson/api'
import { rememberLast } from './remember-last.ts'

export type PodMetadata = NonNullable<PodTemplate['metadata']>

/** Domains of label keys that claims may use, with everything below them, unless the administrator says otherwise. */
export const DEFAULT_LABEL_DOMAINS: readonly string[] = ['sandbox.users.io']

/** Annotations that tell Kubernetes or us what to do, and on others' nodes CNI plugins, CRI-O and plugins of the runtime. */
const RESTRICTED_DOMAINS = [
  'kubernetes.io',
  'k8s.io',
  'agents.x-k8s.io',
  'caisson.dev',
  'cni.cncf.io',
  'multus-cni.io',
  'crio.io',
  'cri-o.io',
  'nri.io',
  'noderesource.dev',
]
/** The same of gVisor, Kata Containers and CRI, which write domains the other way round and end them with no slash. */
const RESTRICTED_PREFIXES = ['dev.gvisor.', 'io.katacontainers.', 'io.kubernetes.']
const EXEMPT_ANNOTATIONS: ReadonlySet<string> = new Set([ANNOTATIONS.safeToEvict])

/** Why a claim may not have this metadata, in agent-sandbox's words; undefined where it may. */
export function metadataProblem(
  metadata: PodMetadata | undefined,
  allowedDomains: readonly string[],
): string | undefined {
  return metadata && problemOf(metadata, allowedDomains)
}

const problemOf = rememberLast(({ labels = {}, annotations = {} }: PodMetadata, allowedDomains: readonly string[]) => {
  for (const [key, value] of Object.entries(labels)) {
    const problem = keyProblem('label', key) ?? labelProblem(key, value, allowedDomains)
    if (problem) return `failed to validate label ${quoted(key)}: ${problem}`
  }
  for (const key of Object.keys(annotations)) {
    const problem = keyProblem('annotation', key) ?? annotationProblem(key)
    if (problem) return `failed to validate annotation ${quoted(key)}: ${problem}`
  }
  return undefined
})

function keyProblem(kind: 'label' | 'annotation', key: string): string | undefined {
  const errors = qualifiedName(key)
  return errors.length ? `invalid ${kind} key: ${quoted(key)}: ${errors.join('; ')}` : undefined
}

function labelProblem(key: string, value: string, allowedDomains: readonly string[]): string | undefined {
  // What NetworkPolicies let through to every sandbox.
  if (key.toLowerCase() === 'app' && value.toLowerCase() === 'sandbox-router')
    return `restricted system label value: ${quoted(key)}=${quoted(value)} is not allowed in AdditionalPodMetadata`
  const domain = domainOf(key)
  if (domain === undefined)
    return `label ${quoted(key)} must have a domain prefix (e.g. 'sandbox.users.io/my-label') to prevent opting into unintended policy domains`
  if (!isWithin(domain, allowedDomains))
    return `label domain ${quoted(domain)} is not in the allowlist (configure the allowed-label-domains key of the agent-sandbox-config ConfigMap in the controller namespace; default: sandbox.users.io)`
  const errors = labelValueErrors(value)
  if (!errors.length) return undefined
  return `invalid label value: ${quoted(value)} does not match allowed pattern: ${errors.join('; ')}`
}

function annotationProblem(key: string): string | undefined {
  if (EXEMPT_ANNOTATIONS.has(key)) return undefined
  // CRI-O's own have no slash: cpu-quota.crio.io.
  const domain = domainOf(key) ?? key.toLowerCase()
  const isRestricted =
    isWithin(domain, RESTRICTED_DOMAINS) || RESTRICTED_PREFIXES.some((prefix) => key.toLowerCase().startsWith(prefix))
  if (!isRestricted) return undefined
  return `restricted system domain: ${quoted(key)} is not allowed in AdditionalPodMetadata`
}

function domainOf(key: string): string | undefined {
  const slash = key.indexOf('/')
  return slash < 0 ? undefined : key.slice(0, slash).toLowerCase()
}

function isWithin(domain: string, domains: readonly string[]): boolean {
  return domains.some((allowed) => domain === allowed || domain.endsWith(`.${allowed}`))
}

/** Where a claim would change what the template says, in agent-sandbox's words; undefined where it only adds. */
export function overrideConflict(
  template: PodMetadata | undefined,
  additional: PodMetadata | undefined,
): string | undefined {
  return additional && conflictOf(additional, template)
}

const conflictOf = rememberLast((additional: PodMetadata, template: PodMetadata | undefined) => {
  for (const [kind, theirs, ours] of [
    ['label', template?.labels, additional.labels],
    ['annotation', template?.annotations, additional.annotations],
  ] as const)
    for (const [key, value] of Object.entries(ours ?? {})) {
      if (!theirs || !Object.hasOwn(theirs, key) || theirs[key] === value) continue
      return `metadata override conflict: ${kind} ${quoted(key)} is defined in template with value ${quoted(theirs[key] ?? '')}, but claim requests ${quoted(value)}`
    }
  return undefined
})

/** Both together; `tracking` are labels of the controller's own, and where one is undefined the Pod has none. */
export function mergedMetadata(
  template: PodMetadata | undefined,
  additional: PodMetadata | undefined,
  tracking: Readonly<Record<string, string | undefined>>,
): PodMetadata {
  const labels = new Map(Object.entries(template?.labels ?? {}))
  for (const [key, value] of Object.entries(tracking)) {
    if (value === undefined) labels.delete(key)
    else labels.set(key, value)
  }
  for (const [key, value] of Object.entries(additional?.labels ?? {})) labels.set(key, value)
  const annotations = new Map([
    ...Object.entries(template?.annotations ?? {}),
    ...Object.entries(additional?.annotations ?? {}),
  ])
  // fromEntries defines each key, so that one called __proto__ stays a key.
  return {
    ...(labels.size && { labels: Object.fromEntries(labels) }),
    ...(annotations.size && { annotations: Object.fromEntries(annotations) }),
  }
}

function quoted(text: string): string {
  return JSON.stringify(text)
}
