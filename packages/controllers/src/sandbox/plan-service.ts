import { LABELS, nameHash, type Sandbox } from '@caisson/api'
import { type CreateWrite, type PatchWrite, type Write, writeId } from '../engine/plan.ts'
import { adoptionPatch, judgeAdoption } from './adoption.ts'
import { deletionOf, identityOf, SERVICES, type Service, sandboxReference } from './objects.ts'
import { failureOf, type ObservedSandbox, type SandboxError } from './observed-sandbox.ts'
import { samePorts, servicePorts } from './service-ports.ts'
import { stringMapPatch } from './string-map-patch.ts'

export interface ServicePlan {
  write?: Write
  error?: SandboxError
  /** The Service that serves this Sandbox now. */
  service?: Service
}

/**
 * The headless Service. `service: true` keeps one, `false` removes the Sandbox's own; left out, one that is the Sandbox's
 * already is kept as it is.
 */
export function planService(observed: ObservedSandbox): ServicePlan {
  const { sandbox, service } = observed
  const wanted = sandbox.spec.service
  if (!service) return wanted ? attempt(observed, newService(sandbox), '') : {}

  const adoption = judgeAdoption(sandbox, service, 'service')
  if (wanted === false) return adoption.kind === 'owned' ? removeService(observed, service) : {}
  if (adoption.kind === 'refused') {
    // Without a wish for a Service, one that nobody controls is nobody's business.
    const foreign = service.metadata.ownerReferences?.some(({ controller }) => controller)
    return wanted || foreign ? { error: { message: adoption.message, permanent: false } } : {}
  }
  if (adoption.kind === 'adoptable') return wanted ? adoptService(observed, service) : {}
  return keepService(observed, service)
}

/** Deletes the Sandbox's own Service, for `service: false` and at the Sandbox's end. */
export function removeService(observed: ObservedSandbox, service: Service): ServicePlan {
  if (service.metadata.deletionTimestamp) return {}
  return attempt(observed, deletionOf(SERVICES, service), 'failed to delete service: ')
}

function adoptService(observed: ObservedSandbox, service: Service): ServicePlan {
  const { sandbox } = observed
  const clusterIp = service.spec?.clusterIP
  if (clusterIp && clusterIp !== 'None') {
    const message = `cannot adopt service "${service.metadata.name ?? ''}": ClusterIP is "${clusterIp}" (expected "None", field is immutable)`
    return { error: { message, permanent: false } }
  }
  const selector = selectorPatch(sandbox, service)
  const write = adoptionPatch(sandbox, service, SERVICES, {
    metadata: { labels: trackingLabel(sandbox) },
    spec: { ...(selector && { selector }), ports: servicePorts(sandbox.spec.podTemplate.spec) },
  })
  return attempt(observed, write, 'failed to update service with owner reference: ')
}

function keepService(observed: ObservedSandbox, service: Service): ServicePlan {
  const { sandbox } = observed
  const labelled = service.metadata.labels?.[LABELS.sandboxNameHash] === trackingLabel(sandbox)[LABELS.sandboxNameHash]
  const selector = selectorPatch(sandbox, service)
  const ports = servicePorts(sandbox.spec.podTemplate.spec)
  const movePorts = sandbox.spec.service === true && !samePorts(service.spec?.ports, ports)
  if (labelled && !selector && !movePorts) return { service }
  const { name, namespace, uid } = identityOf(service)
  const write: PatchWrite = {
    verb: 'patch',
    id: writeId('patch', SERVICES, name),
    resource: SERVICES,
    target: { namespace, name },
    patch: {
      metadata: { uid, ...(!labelled && { labels: trackingLabel(sandbox) }) },
      ...((selector || movePorts) && { spec: { ...(selector && { selector }), ...(movePorts && { ports }) } }),
    },
  }
  const plan = attempt(observed, write, 'failed to patch owned service: ')
  return plan.error ? plan : { ...plan, service }
}

function newService(sandbox: Sandbox): CreateWrite {
  const { name, namespace } = identityOf(sandbox)
  const ports = servicePorts(sandbox.spec.podTemplate.spec)
  return {
    verb: 'create',
    id: writeId('create', SERVICES, name),
    resource: SERVICES,
    object: {
      apiVersion: SERVICES.apiVersion,
      kind: SERVICES.kind,
      metadata: { name, namespace, labels: trackingLabel(sandbox), ownerReferences: [sandboxReference(sandbox)] },
      spec: { clusterIP: 'None', selector: trackingLabel(sandbox), ...(ports.length && { ports }) },
    },
  }
}

function selectorPatch(sandbox: Sandbox, service: Service): Record<string, string | null> | undefined {
  const current = new Map(Object.entries(service.spec?.selector ?? {}))
  return stringMapPatch(current, new Map(Object.entries(trackingLabel(sandbox))))
}

function trackingLabel(sandbox: Sandbox): Record<string, string> {
  return { [LABELS.sandboxNameHash]: nameHash(sandbox.metadata.name ?? '') }
}

function attempt(observed: ObservedSandbox, write: Write, context: string): ServicePlan {
  const error = failureOf(observed, write.id, context)
  return error ? { error } : { write }
}
