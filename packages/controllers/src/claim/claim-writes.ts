/** The writes by which a claim comes to its Sandbox, in the order of agent-sandbox's protocol. */
import {
  ANNOTATIONS,
  CLAIM_EVENTS,
  controllerReference,
  LABELS,
  nameHash,
  type ObjectMeta,
  type Sandbox,
  type SandboxClaim,
  type SandboxSpec,
  type SandboxTemplate,
} from '@caisson/api'
import { sandboxClaims } from '@caisson/client'
import { mergedMetadata, type PodMetadata } from '../blueprint/additional-metadata.ts'
import { mergePatch } from '../engine/json-difference.ts'
import { type CreateWrite, type DeleteWrite, type PatchWrite, writeId } from '../engine/plan.ts'
import { deletionAsSeen, deletionOf, identityOf, SANDBOXES } from '../sandbox/objects.ts'

/** Labels that say that a Sandbox is a pool's. */
const POOL_LABELS = [LABELS.warmPool, LABELS.podTemplateHash, LABELS.templateHash]

/**
 * Has the server give up its account of who wrote which field, which it otherwise brings up to date with each write. A
 * server-side apply begins it anew.
 */
const NOBODYS = [{}]

/**
 * First: writes down which Sandbox the claim gets, unless anything happened to the claim meanwhile. From then on nobody
 * else is given it, whatever becomes of us.
 */
export function assign(
  claim: SandboxClaim,
  sandbox: Sandbox,
  annotations: Readonly<Record<string, string>>,
): PatchWrite {
  const name = sandbox.metadata.name ?? ''
  return patchClaim(claim, `assign ${name}`, {
    resourceVersion: identityOf(claim).resourceVersion,
    annotations: { ...annotations, [ANNOTATIONS.sandboxName]: name },
  })
}

/** Takes back what was written down. */
export function forget(claim: SandboxClaim, name: string): PatchWrite {
  const { annotations, labels } = claim.metadata
  return patchClaim(claim, `forget ${name}`, {
    resourceVersion: identityOf(claim).resourceVersion,
    ...(annotations?.[ANNOTATIONS.sandboxName] === name && { annotations: { [ANNOTATIONS.sandboxName]: null } }),
    ...(labels?.[ANNOTATIONS.sandboxName] === name && { labels: { [ANNOTATIONS.sandboxName]: null } }),
  })
}

/** Adds annotations that nothing but metrics and older controllers read. */
export function annotate(
  claim: SandboxClaim,
  metadata: Pick<ObjectMeta, 'annotations'> & { labels?: object },
): PatchWrite {
  return patchClaim(claim, 'annotate', metadata)
}

function patchClaim(claim: SandboxClaim, what: string, metadata: object): PatchWrite {
  const { name, namespace, uid } = identityOf(claim)
  return {
    verb: 'patch',
    id: `${writeId('patch', sandboxClaims, name)} ${what}`,
    resource: sandboxClaims,
    target: { namespace, name },
    patch: { metadata: { ...metadata, uid } },
  }
}

/** Second: makes the pool's Sandbox the claim's, unless anything happened to the Sandbox meanwhile. */
export function transfer(claim: SandboxClaim, sandbox: Sandbox, origin: SandboxTemplate | undefined): PatchWrite {
  const { name, namespace, uid, resourceVersion } = identityOf(sandbox)
  const podMetadata = podMetadataOf(claim, sandbox, origin)
  const spec = podMetadataPatch(sandbox, podMetadata)
  const labels = { ...Object.fromEntries(POOL_LABELS.map((key) => [key, null])), ...labelsOf(claim, sandbox, origin) }
  const trace = claim.metadata.annotations?.[ANNOTATIONS.traceContext]
  return {
    verb: 'patch',
    id: `${writeId('patch', SANDBOXES, name)} transfer`,
    resource: SANDBOXES,
    target: { namespace, name },
    patch: {
      metadata: {
        uid,
        resourceVersion,
        managedFields: NOBODYS,
        ownerReferences: [claimReference(claim)],
        labels: { ...labels, [LABELS.launchType]: 'warm' },
        ...(trace !== undefined && { annotations: { [ANNOTATIONS.traceContext]: trace } }),
      },
      ...(spec && { spec }),
    },
    event: {
      type: 'Normal',
      reason: CLAIM_EVENTS.adopted,
      action: 'Adoption',
      message: `Adopted warm pool Sandbox ${JSON.stringify(name)}`,
    },
  }
}

/** Labels and annotations of the claim's Sandbox as they should be; undefined where they are. */
export function synchronize(
  claim: SandboxClaim,
  sandbox: Sandbox,
  origin: SandboxTemplate | undefined,
  launchType: 'cold' | 'warm',
): PatchWrite | undefined {
  const { name, namespace, uid } = identityOf(sandbox)
  const current = sandbox.metadata.labels ?? {}
  const wanted = { [LABELS.launchType]: current[LABELS.launchType] ?? launchType, ...labelsOf(claim, sandbox, origin) }
  const labels = Object.entries(wanted).filter(([key, value]) => (current[key] ?? null) !== value)
  const spec = podMetadataPatch(sandbox, podMetadataOf(claim, sandbox, origin))
  if (!labels.length && !spec) return undefined
  return {
    verb: 'patch',
    id: `${writeId('patch', SANDBOXES, name)} metadata`,
    resource: SANDBOXES,
    target: { namespace, name },
    patch: { metadata: { uid, ...(labels.length && { labels: Object.fromEntries(labels) }) }, ...(spec && { spec }) },
  }
}

/** A Sandbox of the claim's own, called like the claim. */
export function createSandbox(claim: SandboxClaim, template: SandboxTemplate, spec: SandboxSpec): CreateWrite {
  const { name, namespace } = identityOf(claim)
  const templateName = template.metadata.name ?? ''
  const hash = nameHash(templateName)
  const trace = claim.metadata.annotations?.[ANNOTATIONS.traceContext]
  const metadata = mergedMetadata(
    spec.podTemplate.metadata,
    claim.spec.additionalPodMetadata,
    trackingLabels(claim, hash),
  )
  return {
    verb: 'create',
    id: writeId('create', SANDBOXES, name),
    resource: SANDBOXES,
    object: {
      apiVersion: SANDBOXES.apiVersion,
      kind: SANDBOXES.kind,
      metadata: {
        name,
        namespace,
        labels: withoutMissing({ ...trackingLabels(claim, hash), [LABELS.launchType]: 'cold' }),
        annotations: {
          ...(trace !== undefined && { [ANNOTATIONS.traceContext]: trace }),
          [ANNOTATIONS.templateRef]: templateName,
        },
        ownerReferences: [claimReference(claim)],
      },
      spec: { ...spec, podTemplate: { ...spec.podTemplate, metadata } },
    },
    event: {
      type: 'Normal',
      reason: CLAIM_EVENTS.provisioned,
      action: 'Provisioning',
      message: `Created Sandbox ${JSON.stringify(name)}`,
    },
  }
}

export function deleteSandbox(sandbox: Sandbox): DeleteWrite {
  return deletionOf(SANDBOXES, sandbox)
}

/** With its Sandbox; in the foreground it stays until that is gone. */
export function deleteClaim(claim: SandboxClaim, policy: 'Delete' | 'DeleteForeground'): DeleteWrite {
  return {
    ...deletionAsSeen(sandboxClaims, claim),
    propagation: policy === 'Delete' ? 'Background' : 'Foreground',
    event: {
      type: 'Normal',
      reason: CLAIM_EVENTS.expired,
      action: 'Deleting',
      message: `Deleting Claim (ShutdownPolicy=${policy})`,
    },
  }
}

function claimReference(claim: SandboxClaim): ReturnType<typeof controllerReference> {
  return controllerReference({ ...claim, apiVersion: sandboxClaims.apiVersion, kind: sandboxClaims.kind })
}

/** What the template of the Sandbox's Pod should have for metadata. */
function podMetadataOf(claim: SandboxClaim, sandbox: Sandbox, origin: SandboxTemplate | undefined): PodMetadata {
  const base = origin ? origin.spec.podTemplate.metadata : ownMetadata(sandbox)
  return mergedMetadata(base, claim.spec.additionalPodMetadata, trackingLabels(claim, templateHashOf(sandbox, origin)))
}

/** What a member has without being a pool's: for when its template is gone. */
function ownMetadata({ spec }: Sandbox): PodMetadata {
  const { labels = {}, annotations = {} } = spec.podTemplate.metadata ?? {}
  const kept = Object.entries(labels).filter(([key]) => !POOL_LABELS.some((label) => label === key))
  const stated = Object.entries(annotations).filter(
    ([key, value]) => key !== ANNOTATIONS.safeToEvict || value !== 'true',
  )
  return { labels: Object.fromEntries(kept), annotations: Object.fromEntries(stated) }
}

function podMetadataPatch(sandbox: Sandbox, wanted: PodMetadata): object | undefined {
  const metadata = mergePatch(sandbox.spec.podTemplate.metadata ?? {}, wanted)
  return metadata && { podTemplate: { metadata } }
}

function labelsOf(
  claim: SandboxClaim,
  sandbox: Sandbox,
  origin: SandboxTemplate | undefined,
): Record<string, string | null> {
  const tracking = Object.entries(trackingLabels(claim, templateHashOf(sandbox, origin)))
  return Object.fromEntries(tracking.map(([key, value]) => [key, value ?? null]))
}

function templateHashOf(sandbox: Sandbox, origin: SandboxTemplate | undefined): string | undefined {
  return origin ? nameHash(origin.metadata.name ?? '') : sandbox.metadata.labels?.[LABELS.templateRefHash]
}

/** Labels that say whose a Sandbox is, on itself and on the template of its Pod. */
function trackingLabels(
  { metadata }: SandboxClaim,
  templateHash: string | undefined,
): Record<string, string | undefined> {
  return {
    [LABELS.claimUid]: metadata.uid,
    [LABELS.templateRefHash]: templateHash,
    [LABELS.createdBy]: metadata.labels?.[LABELS.createdBy] || undefined,
  }
}

function withoutMissing(labels: Readonly<Record<string, string | undefined>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(labels).flatMap(([key, value]) => (value === undefined ? [] : [[key, value]])),
  )
}
