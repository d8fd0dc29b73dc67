/** The templates that a StatefulSet or a DaemonSet has had, as ControllerRevisions. */
import { controllerReference, type KubeObject } from '@caisson/api'
import { resources, type Typed } from '@caisson/client'
import { type Write, writeId } from '@caisson/controllers'
import type { ControllerRevision } from 'kubernetes-types/apps/v1.d.ts'
import type { PodTemplateSpec } from 'kubernetes-types/core/v1.d.ts'
import { canonical, templateHash } from './template-hash.ts'

export type RevisionObject = Typed<ControllerRevision>

/** Of a revision and of the Pods that are of it. */
export const REVISION_LABEL = 'controller-revision-hash'

export interface RevisionsOptions {
  owner: KubeObject
  template: PodTemplateSpec
  /** Its own. */
  revisions: readonly RevisionObject[]
  /** Whether there is one of that name, whosever it is. */
  isTaken(name: string): boolean
  collisionCount: number | undefined
}

export interface Revisions {
  /** The revision of the template as it is now; undefined until it has been made. */
  update: RevisionObject | undefined
  /** Oldest first. */
  all: readonly RevisionObject[]
  writes: Write[]
  /** The name that the next one would have is another's. */
  collides: boolean
}

/**
 * As `kubectl rollout undo` applies it: the template in place of what is there. Its keys are in Go's order: programs that
 * ask Kubernetes' own code which revision a workload is of compare bytes.
 */
function dataOf(template: PodTemplateSpec): object {
  return JSON.parse(canonical({ spec: { template: { ...template, $patch: 'replace' } } })) as object
}

export function templateOf({ data }: RevisionObject): PodTemplateSpec {
  const { spec } = data as { spec: { template: PodTemplateSpec & { $patch?: string } } }
  const { $patch: _patch, ...template } = spec.template
  return template
}

export function planRevisions({ owner, template, revisions, isTaken, collisionCount }: RevisionsOptions): Revisions {
  const all = revisions.toSorted((a, b) => a.revision - b.revision)
  const wanted = canonical(dataOf(template))
  const found = all.filter(({ data }) => canonical(data) === wanted).at(-1)
  const newest = all.at(-1)?.revision ?? 0
  if (found) {
    const writes: Write[] = found.revision === newest ? [] : [renew(found, newest + 1)]
    return { update: found, all, writes, collides: false }
  }
  const hash = templateHash(dataOf(template), collisionCount)
  const name = `${owner.metadata.name}-${hash}`
  if (isTaken(name)) return { update: undefined, all, writes: [], collides: true }
  const object: KubeObject = {
    apiVersion: 'apps/v1',
    kind: 'ControllerRevision',
    metadata: {
      name,
      namespace: owner.metadata.namespace ?? '',
      labels: { ...template.metadata?.labels, [REVISION_LABEL]: hash },
      ...(owner.metadata.annotations && { annotations: { ...owner.metadata.annotations } }),
      ownerReferences: [controllerReference(owner)],
    },
    data: dataOf(template),
    revision: newest + 1,
  }
  const id = writeId('create', resources.controllerRevisions, name)
  return {
    update: undefined,
    all,
    writes: [{ id, verb: 'create', resource: resources.controllerRevisions, object }],
    collides: false,
  }
}

/** An old template that has come back is the newest again. */
function renew({ metadata }: RevisionObject, revision: number): Write {
  const { namespace = '', name = '', uid = '', resourceVersion = '' } = metadata
  return {
    id: writeId('patch', resources.controllerRevisions, name),
    verb: 'patch',
    resource: resources.controllerRevisions,
    target: { namespace, name },
    patch: { metadata: { uid, resourceVersion }, revision },
  }
}

/** Revisions beyond the limit that nothing is of any more, oldest first. A negative limit keeps all. */
export function truncate(all: readonly RevisionObject[], inUse: ReadonlySet<string>, limit: number): Write[] {
  if (limit < 0) return []
  const idle = all.filter(({ metadata }) => !inUse.has(metadata.name ?? ''))
  return idle
    .slice(0, Math.max(0, idle.length - limit))
    .map(({ metadata: { namespace = '', name = '', uid = '' } }) => ({
      id: writeId('delete', resources.controllerRevisions, name),
      verb: 'delete' as const,
      resource: resources.controllerRevisions,
      target: { namespace, name },
      uid,
    }))
}
