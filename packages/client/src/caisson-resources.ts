/** The agent-sandbox kinds, and those of Caisson's own group. */
import {
  AGENTS_GROUP,
  EXTENSIONS_GROUP,
  type Sandbox,
  type SandboxClaim,
  type SandboxSnapshot,
  type SandboxTemplate,
  type SandboxWarmPool,
} from '@caisson/api'
import { defineResource, type Resource } from './resource.ts'

export const sandboxes: Resource<Sandbox> = defineResource<Sandbox>({
  group: AGENTS_GROUP,
  version: 'v1beta1',
  plural: 'sandboxes',
  kind: 'Sandbox',
  namespaced: true,
})

export const sandboxSnapshots: Resource<SandboxSnapshot> = defineResource<SandboxSnapshot>({
  group: 'caisson.dev',
  version: 'v1alpha1',
  plural: 'sandboxsnapshots',
  kind: 'SandboxSnapshot',
  namespaced: true,
})

export const sandboxTemplates: Resource<SandboxTemplate> = defineResource<SandboxTemplate>({
  group: EXTENSIONS_GROUP,
  version: 'v1beta1',
  plural: 'sandboxtemplates',
  kind: 'SandboxTemplate',
  namespaced: true,
})

export const sandboxClaims: Resource<SandboxClaim> = defineResource<SandboxClaim>({
  group: EXTENSIONS_GROUP,
  version: 'v1beta1',
  plural: 'sandboxclaims',
  kind: 'SandboxClaim',
  namespaced: true,
})

export const sandboxWarmPools: Resource<SandboxWarmPool> = defineResource<SandboxWarmPool>({
  group: EXTENSIONS_GROUP,
  version: 'v1beta1',
  plural: 'sandboxwarmpools',
  kind: 'SandboxWarmPool',
  namespaced: true,
})
