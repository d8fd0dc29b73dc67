export {
  type ConditionState,
  findCondition,
  isConditionTrue,
  kubernetesTime,
  mergeConditions,
} from './condition.ts'
export { type CronSchedule, CronScheduleError, isTimeZone, parseCronSchedule } from './cron-schedule.ts'
export { type IntOrPercent, percentOf, scaledValue } from './int-or-percent.ts'
export {
  AGENTS_GROUP,
  ANNOTATIONS,
  EXTENSIONS_GROUP,
  isReservedAnnotation,
  isReservedLabel,
  LABELS,
  normalizeCreatedBy,
} from './keys.ts'
export { type LabelSelector, selectorText, selects } from './label-selector.ts'
export { nameHash } from './name-hash.ts'
export type * from './object.ts'
export { controllerOf, controllerReference, type Ownership, ownershipOf, referenceGroup } from './owner-reference.ts'
export { containerResource, podResource, requestedResources } from './pod-resources.ts'
export { parseQuantity } from './quantity.ts'
export { SANDBOX_CONDITIONS, SANDBOX_EVENTS, SANDBOX_MESSAGES, SANDBOX_REASONS } from './sandbox/conditions.ts'
export { type CustomResourceDefinition, type CustomResourceVersion, sandboxCrd } from './sandbox/crd.ts'
export {
  OPERATING_MODES,
  type OperatingMode,
  type PersistentVolumeClaimTemplate,
  type PodTemplate,
  type Sandbox,
  type SandboxBlueprint,
  type SandboxSpec,
  type SandboxStatus,
  SHUTDOWN_POLICIES,
  type ShutdownPolicy,
} from './sandbox/sandbox.ts'
export { sandboxSpecProblem } from './sandbox/spec-problem.ts'
export { type CoreType, coreSchema } from './schema/core-schema.ts'
export type { StructuralSchema, ValidationRule } from './schema/structural-schema.ts'
export { snapshotCrd } from './snapshot/crd.ts'
export {
  hasSnapshotFailed,
  type SandboxSnapshot,
  type SandboxSnapshotSpec,
  type SandboxSnapshotStatus,
  SNAPSHOT_ANNOTATION,
  SNAPSHOT_FINALIZERS,
  SNAPSHOT_REASONS,
} from './snapshot/snapshot.ts'
