/** The schemas that come with the program: tests check them, so that no start has to. */
import {
  AGENTS_GROUP,
  type CustomResourceDefinition,
  claimCrd,
  EXTENSIONS_GROUP,
  flatCrds,
  poolCrd,
  sandboxCrd,
  snapshotCrd,
  templateCrd,
} from '@caisson/api'
import { deepEqual } from '../patch/json-value.ts'
import type { CrdSpec, CrdVersion } from './crd.ts'

// Other groups' definitions need not have ours built.
const GROUPS: readonly string[] = [AGENTS_GROUP, EXTENSIONS_GROUP, 'caisson.dev']

let shipped: readonly CustomResourceDefinition[] | undefined

export function shippedDefinitions(): readonly CustomResourceDefinition[] {
  shipped ??= [sandboxCrd(), snapshotCrd(), templateCrd(), claimCrd(), poolCrd(), ...flatCrds()]
  return shipped
}

/** Whether all that validation reads of a version's schema is as it is shipped for a kind of the same group and name. */
export function isShippedSchema({ group, names }: CrdSpec, version: CrdVersion): boolean {
  if (!GROUPS.includes(group)) return false
  const own = shippedDefinitions().find(({ spec }) => spec.group === group && spec.names.plural === names?.plural)
  const as = own?.spec.versions.find(({ name }) => name === version.name)
  if (!as || (as.subresources?.status === undefined) !== (version.subresources?.status === undefined)) return false
  return deepEqual(as.schema, version.schema)
}
