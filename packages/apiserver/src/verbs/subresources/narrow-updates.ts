/** Doors that change one part of an object: ephemeral containers of a Pod, the finalizers of a Namespace. */
import type { KubeObject } from '@caisson/api'
import { validateFinalize } from '../../registry/builtin/namespace.ts'
import { validateEphemeralContainersUpdate } from '../../registry/builtin/pod-update.ts'
import type { Subresource } from '../environment.ts'
import { get } from '../get.ts'
import { patch } from '../patch.ts'
import { update } from '../update.ts'
import { keepAllBut, type UpdateRules } from '../update-rules.ts'

type Part = Record<string, unknown>

const EPHEMERAL_CONTAINERS_RULES: UpdateRules = {
  prepare(next, current) {
    const { ephemeralContainers } = (next.spec ?? {}) as Part
    keepAllBut(next, current, [])
    next.spec = { ...(current.spec as Part), ...(ephemeralContainers !== undefined && { ephemeralContainers }) }
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

export const EPHEMERAL_CONTAINERS: Subresource = {
  name: 'ephemeralcontainers',
  kind: 'Pod',
  verbs: ['get', 'patch', 'update'],
  handle(call, resource, environment) {
    if (call.info.verb === 'get') return get(call, resource, environment)
    const write = call.info.verb === 'update' ? update : patch
    return write(call, resource, environment, EPHEMERAL_CONTAINERS_RULES)
  },
}

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
