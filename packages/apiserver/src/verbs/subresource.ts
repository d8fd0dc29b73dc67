/** Subresources: what discovery lists of them and what answers below an object's path. */
import type { Resource, Verb } from '../registry/resource.ts'
import type { Answer, Call, Environment } from './call.ts'

export interface Subresource {
  name: string
  /** Of what is sent and answered. */
  kind: string
  /** Where they are not those of the resource itself. */
  group?: string
  version?: string
  verbs: readonly Verb[]
  /** Undefined for those that become a connection to a node. */
  handle?(call: Call, resource: Resource, environment: Environment): Answer | Promise<Answer>
}

/** By the key of the resource: `pods`, `deployments.apps`. */
export type Subresources = Readonly<Record<string, readonly Subresource[]>>
