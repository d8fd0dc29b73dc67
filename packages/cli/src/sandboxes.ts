import type { Sandbox } from '@caisson/api'
import { defineResource, type Resource } from '@caisson/client'

export const sandboxes: Resource<Sandbox> = defineResource<Sandbox>({
  group: 'agents.x-k8s.io',
  version: 'v1beta1',
  plural: 'sandboxes',
  kind: 'Sandbox',
  namespaced: true,
})
