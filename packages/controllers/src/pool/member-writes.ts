/** The writes that make, take over and delete members. */
import {
  ANNOTATIONS,
  controllerReference,
  findCondition,
  LABELS,
  nameHash,
  POOL_EVENTS,
  POOL_MESSAGES,
  SANDBOX_CONDITIONS,
  type SandboxTemplate,
  type SandboxWarmPool,
} from '@caisson/api'
import { sandboxWarmPools } from '@caisson/client'
import { versionOf } from '../blueprint/sandbox-spec.ts'
import { hasWarmEnv, withWarmEnv } from '../blueprint/warm-env.ts'
import { type CreateWrite, type DeleteWrite, type PatchWrite, type WriteFailure, writeId } from '../engine/plan.ts'
import { deletionAsSeen, identityOf, SANDBOXES } from '../sandbox/objects.ts'
import { generatedPrefix } from './member-names.ts'
import type { Member } from './observed-pool.ts'

export interface MemberOptions {
  /** Whether the cluster autoscaler may evict members of nodes that it wants to remove, unless the template says so itself. */
  evictable: boolean
}

const WARM = 'warm'

export function createMember(
  pool: SandboxWarmPool,
  template: SandboxTemplate,
  { name, evictable }: MemberOptions & { name: string },
): CreateWrite {
  const { hash, podTemplateHash, spec } = versionOf(template)
  const tracking = {
    [LABELS.warmPool]: nameHash(pool.metadata.name ?? ''),
    [LABELS.templateRefHash]: nameHash(template.metadata.name ?? ''),
    [LABELS.podTemplateHash]: podTemplateHash,
    [LABELS.templateHash]: hash,
  }
  const { metadata } = spec.podTemplate
  const annotations = { ...(evictable && { [ANNOTATIONS.safeToEvict]: 'true' }), ...metadata?.annotations }
  return {
    verb: 'create',
    id: `${writeId('create', SANDBOXES, name)} ${hash}`,
    resource: SANDBOXES,
    batch: 'create members',
    object: {
      apiVersion: SANDBOXES.apiVersion,
      kind: SANDBOXES.kind,
      metadata: {
        name,
        generateName: generatedPrefix(pool.metadata.name ?? ''),
        namespace: pool.metadata.namespace ?? '',
        labels: { ...tracking, [LABELS.launchType]: WARM, [LABELS.createdBy]: 'controller' },
        annotations: { [ANNOTATIONS.templateRef]: template.metadata.name ?? '' },
        ownerReferences: [poolReference(pool)],
      },
      spec: {
        ...spec,
        podTemplate: {
          ...spec.podTemplate,
          ...(hasWarmEnv(template) && { spec: withWarmEnv(spec.podTemplate.spec, name) }),
          metadata: {
            labels: { ...metadata?.labels, ...tracking },
            ...(Object.keys(annotations).length > 0 && { annotations }),
          },
        },
      },
    },
  }
}

/** Whether it is about a member made from the template as it is now. */
export function isCreation({ id }: WriteFailure, template: SandboxTemplate): boolean {
  return id.startsWith('create ') && id.endsWith(` ${versionOf(template).hash}`)
}

/** Takes over what nobody controls. Fails if anything happened to it meanwhile: somebody else may have taken it. */
export function adoptMember(pool: SandboxWarmPool, { sandbox }: Member): PatchWrite {
  const { name, namespace, uid, resourceVersion } = identityOf(sandbox)
  const ownerReferences = [...(sandbox.metadata.ownerReferences ?? []), poolReference(pool)]
  return {
    verb: 'patch',
    id: `${writeId('patch', SANDBOXES, name)} owner`,
    resource: SANDBOXES,
    batch: 'adopt members',
    target: { namespace, name },
    patch: { metadata: { uid, resourceVersion, ownerReferences, labels: { [LABELS.launchType]: WARM } } },
  }
}

/**
 * Deletes a member as it was seen, so that one that was claimed a moment ago stays.
 *
 * @param options where it goes because it was not Ready within `grace` ms
 */
export function deleteMember({ sandbox }: Member, options?: { grace: number }): DeleteWrite {
  const { name } = identityOf(sandbox)
  const ready = findCondition(sandbox.status?.conditions, SANDBOX_CONDITIONS.ready)
  return {
    ...deletionAsSeen(SANDBOXES, sandbox),
    batch: 'delete members',
    ...(options && {
      event: {
        type: 'Warning',
        reason: POOL_EVENTS.memberReplaced,
        action: 'Reconciling',
        message: POOL_MESSAGES.memberReplaced(name, goDuration(options.grace), ready?.message ?? ''),
      },
    }),
  }
}

/** As Go writes a duration: `5m0s`. */
export function goDuration(ms: number): string {
  const seconds = Math.round(ms / 1000)
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60]
  return `${hours ? `${hours}h` : ''}${hours || minutes ? `${minutes}m` : ''}${seconds % 60}s`
}

function poolReference(pool: SandboxWarmPool): ReturnType<typeof controllerReference> {
  return controllerReference({ ...pool, kind: sandboxWarmPools.kind })
}
