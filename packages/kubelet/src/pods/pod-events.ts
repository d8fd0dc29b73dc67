import type { EventInput, EventRecorder, PodObject } from '@caisson/client'
import type { Container, ObjectReference } from 'kubernetes-types/core/v1.d.ts'
import { initContainers, isEphemeral } from './observed-pod.ts'

export interface PodEvents {
  about(pod: PodObject, event: EventInput): void
  /** Refers to the container within the Pod. */
  aboutContainer(pod: PodObject, container: Container | string, event: EventInput): void
}

export function createPodEvents(recorder: Pick<EventRecorder, 'record'>): PodEvents {
  return {
    about: (pod, event) => recorder.record(pod, event),
    aboutContainer(pod, container, event) {
      const name = typeof container === 'string' ? container : container.name
      const list = listOf(pod, name)
      const { metadata } = pod
      const reference: ObjectReference = {
        apiVersion: 'v1',
        kind: 'Pod',
        fieldPath: `spec.${list}{${name}}`,
        ...(metadata.name !== undefined && { name: metadata.name }),
        ...(metadata.namespace !== undefined && { namespace: metadata.namespace }),
        ...(metadata.uid !== undefined && { uid: metadata.uid }),
        ...(metadata.resourceVersion !== undefined && { resourceVersion: metadata.resourceVersion }),
      }
      recorder.record(reference, event)
    },
  }
}

function listOf(pod: PodObject, name: string): string {
  if (initContainers(pod).some((init) => init.name === name)) return 'initContainers'
  return isEphemeral(pod, { name }) ? 'ephemeralContainers' : 'containers'
}
