/** Doors that change one part of an object: ephemeral containers and resources of a Pod, the finalizers of a Namespace. */
import type { KubeObject } from '@caisson/api'
import type { Pod, PodSpec } from 'kubernetes-types/core/v1.js'
import { validateFinalize } from '../../registry/builtin/namespace.ts'
import { resizedSpec, validatePodResize } from '../../registry/builtin/pod-resize.ts'
import { validateEphemeralContainersUpdate } from '../../registry/builtin/pod-update.ts'
import type { Subresource } from '../environment.ts'
import { update } from '../update.ts'
import { keepAllBut, keepMetadata, type UpdateRules } from '../update-rules.ts'
import { updateDoor } from './update-door.ts'

type Part = Record<string, unknown>

const EPHEMERAL_CONTAINERS_RULES: UpdateRules = {
  prepare(next, current) {
    const { ephemeralContainers } = (next.spec ?? {}) as Part
    keepAllBut(next, current, [])
    keepMetadata(next, current)
    const { ephemeralContainers: _before, ...spec } = current.spec as Part
    next.spec = { ...spec, ...(ephemeralContainers !== undefined && { ephemeralContainers }) }
  },
  validate: (next, current) =>
    validateEphemeralContainersUpdate(
      next as Parameters<typeof validateEphemeralContainersUpdate>[0],
      current as Parameters<typeof validateEphemeralContainersUpdate>[1],
    ),
  warnings: () => [],
  raisesGeneration: true,
  validatesAll: false,
}

export const EPHEMERAL_CONTAINERS = updateDoor('ephemeralcontainers', 'Pod', () => EPHEMERAL_CONTAINERS_RULES)

const RESIZE_RULES: UpdateRules = {
  prepare(next, current) {
    const spec = resizedSpec(next.spec as unknown as PodSpec, current.spec as unknown as PodSpec)
    keepAllBut(next, current, [])
    keepMetadata(next, current)
    next.spec = spec
  },
  validate: (next, current) => validatePodResize(next as unknown as Pod, current as unknown as Pod),
  warnings: () => [],
  raisesGeneration: true,
  validatesAll: false,
}

export const RESIZE = updateDoor('resize', 'Pod', () => RESIZE_RULES)

const FINALIZE_RULES: UpdateRules = {
  prepare(next: KubeObject, current: KubeObject) {
    const { finalizers } = (next.spec ?? {}) as Part
    keepAllBut(next, current, [])
    next.spec = finalizers === undefined ? {} : { finalizers }
  },
  validate: (next) => validateFinalize(next),
  warnings: () => [],
  raisesGeneration: false,
  validatesAll: false,
}

export const NAMESPACE_FINALIZE: Subresource = {
  name: 'finalize',
  kind: 'Namespace',
  verbs: ['update'],
  handle: (call, resource, environment) => update(call, resource, environment, FINALIZE_RULES),
}
