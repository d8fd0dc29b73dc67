import { LABELS, nameHash, type PersistentVolumeClaimTemplate, type Sandbox } from '@caisson/api'
import type { Volume } from 'kubernetes-types/core/v1.d.ts'
import { type CreateWrite, type Write, writeId } from '../engine/plan.ts'
import { adoptionPatch, judgeAdoption } from './adoption.ts'
import { CLAIMS, identityOf, sandboxReference } from './objects.ts'
import { failureOf, type ObservedSandbox, type SandboxError } from './observed-sandbox.ts'

/** The name of the claim that a template of a Sandbox stands for. */
export function claimName(template: PersistentVolumeClaimTemplate, sandbox: Sandbox): string {
  return `${template.metadata?.name ?? ''}-${sandbox.metadata.name ?? ''}`
}

/**
 * Creates the claims that are missing and takes over those that may be. A claim that exists is never changed and never
 * deleted: the Sandbox's deletion takes it along. A Sandbox may want very many: once one is refused, most often by a quota,
 * no other is asked for.
 */
export function planVolumeClaims(observed: ObservedSandbox): { writes: Write[]; errors: SandboxError[] } {
  const writes: Write[] = []
  const creations: Write[] = []
  const errors: SandboxError[] = []
  let isRefused = false
  for (const template of observed.sandbox.spec.volumeClaimTemplates ?? []) {
    const claim = observed.claims.get(claimName(template, observed.sandbox))
    if (!claim) {
      const write = newClaim(observed.sandbox, template)
      const failure = failureOf(observed, write.id)
      if (failure) errors.push(failure)
      else creations.push(write)
      isRefused ||= failure !== undefined
      continue
    }
    const adoption = judgeAdoption(observed.sandbox, claim, 'PVC')
    if (adoption.kind === 'refused') errors.push({ message: adoption.message, permanent: false })
    if (adoption.kind === 'adoptable') {
      const write = adoptionPatch(observed.sandbox, claim, CLAIMS)
      const failure = failureOf(observed, write.id, 'failed to patch PVC with owner reference: ')
      if (failure) errors.push(failure)
      else writes.push(write)
    }
  }
  return { writes: isRefused ? writes : [...writes, ...creations], errors }
}

function newClaim(sandbox: Sandbox, template: PersistentVolumeClaimTemplate): CreateWrite {
  const { namespace, name: sandboxName } = identityOf(sandbox)
  const name = claimName(template, sandbox)
  const { labels = {}, annotations } = template.metadata ?? {}
  return {
    verb: 'create',
    id: writeId('create', CLAIMS, name),
    resource: CLAIMS,
    batch: 'create claims',
    object: {
      apiVersion: CLAIMS.apiVersion,
      kind: CLAIMS.kind,
      metadata: {
        name,
        namespace,
        labels: { ...labels, [LABELS.sandboxNameHash]: nameHash(sandboxName) },
        ...(annotations && { annotations }),
        ownerReferences: [sandboxReference(sandbox)],
      },
      spec: template.spec,
    },
  }
}

/** The Pod's volumes: one for each claim, in the place of any that the template itself gives that name. */
export function withClaimVolumes(volumes: readonly Volume[] | undefined, sandbox: Sandbox): Volume[] | undefined {
  const claims = (sandbox.spec.volumeClaimTemplates ?? []).map((template) => ({
    name: template.metadata?.name ?? '',
    persistentVolumeClaim: { claimName: claimName(template, sandbox) },
  }))
  if (!claims.length) return volumes && [...volumes]
  const taken = new Set(claims.map(({ name }) => name))
  return [...(volumes ?? []).filter(({ name }) => !taken.has(name)), ...claims]
}
