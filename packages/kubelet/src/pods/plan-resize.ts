/** How a Pod that runs comes to the limits that it was granted: by writing them, or by a container that begins again. */
import { initContainers, type ObservedPod } from './observed-pod.ts'
import type { PodAction } from './pod-action.ts'

interface ResizeSteps {
  actions: PodAction[]
  wakeAt?: number | undefined
}

/** What has to begin again goes first: it gives back what the others may get, or the limit cannot be lowered. */
export function resizeSteps(observed: ObservedPod, { now, graceMs }: { now: number; graceMs: number }): ResizeSteps {
  const { sandbox, limitsDue: due, resizeFailure, stopping } = observed
  if (!due || !sandbox) return { actions: [] }
  if (due.restarts.length > 0) {
    return {
      actions: due.restarts.flatMap(({ id, name }): PodAction[] =>
        id === undefined || stopping.has(id)
          ? []
          : [{ kind: 'stop-container', id, container: name, graceMs, because: requiresRestart(name), again: true }],
      ),
    }
  }
  if (resizeFailure && now < resizeFailure.retryAt) return { actions: [], wakeAt: resizeFailure.retryAt }
  return { actions: [{ kind: 'resize', id: sandbox.id, limits: due.limits, containers: due.containers }] }
}

/** In kubelet's words. */
function requiresRestart(name: string): { message: string; graceSeconds: undefined; waiting: undefined } {
  return { message: `Container ${name} resize requires restart`, graceSeconds: undefined, waiting: undefined }
}

/** What an event tells of a resize that is done, as kubelet writes it. */
export function resizeCompleted({ pod }: Pick<ObservedPod, 'pod'>): string {
  const summary = (containers: readonly { name: string; resources?: object | undefined }[]) =>
    containers.map(({ name, resources = {} }) => ({ name, resources }))
  const inits = summary(initContainers(pod))
  const told = { ...(inits.length > 0 && { initContainers: inits }), containers: summary(pod.spec?.containers ?? []) }
  return `Pod resize completed: ${JSON.stringify(told)}`
}
