/** The kinds of Caisson's own group. */
import type { SandboxSnapshot } from '@caisson/api'
import { defineResource, type Resource } from './resource.ts'

export const sandboxSnapshots: Resource<SandboxSnapshot> = defineResource<SandboxSnapshot>({
  group: 'caisson.dev',
  version: 'v1alpha1',
  plural: 'sandboxsnapshots',
  kind: 'SandboxSnapshot',
  namespaced: true,
})
