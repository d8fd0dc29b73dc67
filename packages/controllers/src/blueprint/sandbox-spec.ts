/** The spec of a Sandbox that is made from a template, and whether one that exists is still like it. */
import { nameHash, type SandboxSpec, type SandboxTemplate } from '@caisson/api'
import { isManaged } from '../template/network-policy.ts'
import { sameSpec } from './same-spec.ts'
import { hasWarmEnv, takesWarmEnv, withoutWarmEnv } from './warm-env.ts'

/** Resolvers on the internet: where the default NetworkPolicy holds, those of the cluster cannot be reached. */
const PUBLIC_RESOLVERS = ['8.8.8.8', '1.1.1.1']

type PodSpec = SandboxSpec['podTemplate']['spec']

/** As of the template alone: what a claim or a pool adds is theirs to add. */
function sandboxSpecFrom({ spec, ...template }: SandboxTemplate): SandboxSpec {
  const { podTemplate, volumeClaimTemplates, service, fromSnapshot, suspension, idleSuspension } = spec
  return {
    podTemplate: { ...podTemplate, spec: withSecureDefaults({ ...template, spec }, podTemplate.spec) },
    ...(volumeClaimTemplates && { volumeClaimTemplates }),
    ...(service !== undefined && { service }),
    ...(fromSnapshot !== undefined && { fromSnapshot }),
    ...(suspension && { suspension }),
    ...(idleSuspension && { idleSuspension }),
  }
}

/** No token that nobody asked for; and, behind the default policy, resolvers that can be reached. */
function withSecureDefaults(template: SandboxTemplate, spec: PodSpec): PodSpec {
  const defaultPolicy = isManaged(template) && template.spec.networkPolicy === undefined
  return {
    ...spec,
    automountServiceAccountToken: spec.automountServiceAccountToken ?? false,
    ...(defaultPolicy && !spec.dnsPolicy && { dnsPolicy: 'None', dnsConfig: { nameservers: PUBLIC_RESOLVERS } }),
  }
}

interface Version {
  /** Of everything that a Sandbox takes over, for the label of pool members. */
  hash: string
  /** Of the Pod template alone, for the label of old. */
  podTemplateHash: string
  spec: SandboxSpec
  /** Whether Sandboxes with that hash are like the template. */
  verdicts: Map<string, boolean>
}

// Stored objects are frozen and replaced as a whole, so what follows from one holds as long as it is there.
const versions = new WeakMap<SandboxTemplate, Version>()

export function versionOf(template: SandboxTemplate): Version {
  let version = versions.get(template)
  if (!version) {
    const spec = sandboxSpecFrom(template)
    version = {
      // Members differ by more than what they are made from.
      hash: nameHash(JSON.stringify(hasWarmEnv(template) ? { ...spec, warmEnv: true } : spec)),
      podTemplateHash: nameHash(JSON.stringify(template.spec.podTemplate)),
      spec,
      verdicts: new Map(),
    }
    versions.set(template, version)
  }
  return version
}

/**
 * Whether a Sandbox with this spec is what the template makes now. Labels and annotations do not count, nor does how a
 * quantity is written.
 *
 * @param hash the hash of the template that it was made from, where that can be trusted: it spares the comparison
 */
export function isLike(template: SandboxTemplate, spec: SandboxSpec, hash: string | undefined): boolean {
  const version = versionOf(template)
  if (hash === undefined) return compare(template, spec)
  if (hash === version.hash) return true
  const known = version.verdicts.get(hash)
  if (known !== undefined) return known
  const verdict = compare(template, spec)
  version.verdicts.set(hash, verdict)
  return verdict
}

function compare(template: SandboxTemplate, found: SandboxSpec): boolean {
  if (hasWarmEnv(template) !== takesWarmEnv(found)) return false
  return sameSpec(comparable(versionOf(template).spec), comparable(found))
}

function comparable(spec: SandboxSpec): object {
  const { podTemplate, volumeClaimTemplates, service, fromSnapshot, suspension, idleSuspension } = spec
  return {
    pod: withoutWarmEnv(podTemplate.spec),
    claims: volumeClaimTemplates?.map(({ metadata, spec: each }) => ({ name: metadata?.name, spec: each })),
    service,
    fromSnapshot,
    memory: suspension?.memory ?? 'Discard',
    idle: idleSuspension,
  }
}
