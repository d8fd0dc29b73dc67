/**
 * The resources that a node has granted to a Pod's containers. The API may ask for others at any time (`pods/resize`);
 * until the node grants those, it goes by these in all that it does.
 */
import { parseQuantity, RESIZABLE_RESOURCES } from '@caisson/api'
import type { PodObject } from '@caisson/client'
import type { Container, ResourceRequirements } from 'kubernetes-types/core/v1.d.ts'
import { initContainers, isSidecar, specOf, statusesOf } from './observed-pod.ts'

/** By container name. */
export type Grants = ReadonlyMap<string, ResourceRequirements>

/** All that the API asks for by now. */
export function grantsOf(pod: PodObject): Grants {
  return new Map(resizable(pod).map(({ name, resources = {} }) => [name, resources]))
}

/** What the status that the node itself wrote last says that it had granted; of what it says nothing of, what is asked for. */
export function recalledGrants(pod: PodObject): Grants {
  const statuses = statusesOf(pod)
  return new Map(
    resizable(pod).map(({ name, resources = {} }) => {
      const told = statuses.find((status) => status.name === name) as ToldResources | undefined
      if (!told?.allocatedResources) return [name, resources]
      const limits = told.resources?.limits
      return [name, { ...resources, requests: told.allocatedResources, ...(limits && { limits }) }]
    }),
  )
}

interface ToldResources {
  allocatedResources?: Record<string, string>
  resources?: { limits?: Record<string, string> }
}

/** The Pod as it is to run: the very object where all that it asks for is granted. */
export function grantedPod(pod: PodObject, grants: Grants): PodObject {
  if (resizable(pod).every(({ name, resources }) => isSame(resources, grants.get(name)))) return pod
  const granted = (container: Container): Container => {
    const resources = grants.get(container.name)
    return resources === undefined || isSame(container.resources, resources) ? container : { ...container, resources }
  }
  const { containers, initContainers } = specOf(pod)
  return {
    ...pod,
    spec: {
      ...specOf(pod),
      containers: containers.map(granted),
      ...(initContainers && { initContainers: initContainers.map(granted) }),
    },
  }
}

function resizable(pod: PodObject): readonly Container[] {
  return [...initContainers(pod).filter(isSidecar), ...specOf(pod).containers]
}

function isSame(a: ResourceRequirements = {}, b: ResourceRequirements = {}): boolean {
  if (a === b) return true
  return (['requests', 'limits'] as const).every((kind) =>
    RESIZABLE_RESOURCES.every((resource) => amount(a, kind, resource) === amount(b, kind, resource)),
  )
}

function amount(resources: ResourceRequirements, kind: 'requests' | 'limits', resource: string): number | undefined {
  const quantity = resources[kind]?.[resource]
  return quantity === undefined ? undefined : parseQuantity(quantity)
}
