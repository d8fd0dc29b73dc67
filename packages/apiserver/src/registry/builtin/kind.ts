import type { Column, Resource, Strategy, Verb } from '../resource.ts'

/** A built-in kind, as far as it is not like all others. */
export interface Kind {
  /** Where its schema is: `io.k8s.api.core.v1`. */
  definitions: string
  group?: string
  /** `v1` unless said. */
  version?: string
  /** Where it is another version than its own. */
  storageVersion?: string
  kind: string
  plural: string
  shortNames?: readonly string[]
  categories?: readonly string[]
  namespaced: boolean
  verbs?: readonly Verb[]
  status?: boolean
  scale?: NonNullable<Resource['scale']>
  columns: readonly Column[]
  strategy: Strategy
  selectableFields?: Resource['selectableFields']
  stored?: NonNullable<Resource['stored']>
  /** The kinds that leave finalizers to apimachinery's rule alone. */
  anyFinalizer?: boolean
  deprecationWarning?: string
  decode?: NonNullable<Resource['decode']>
}
