export { CLAIM_SHUTDOWN_POLICIES } from './claim/choices.ts'
export type { ClaimEnvVar, SandboxClaim, SandboxClaimSpec, SandboxClaimStatus } from './claim/claim.ts'
export { CLAIM_CONDITIONS, CLAIM_EVENTS, CLAIM_MESSAGES, CLAIM_REASONS } from './claim/conditions.ts'
export { claimCrd } from './claim/crd.ts'
export {
  type ConditionState,
  findCondition,
  isConditionTrue,
  kubernetesTime,
  mergeConditions,
  parseKubernetesTime,
} from './condition.ts'
export { showControlCharacters } from './control-characters.ts'
export { CONTROLLER_LEASE, CONTROLLER_NAME, CONTROLLER_NAMESPACE } from './controller-installation.ts'
export { type CronSchedule, CronScheduleError, isTimeZone, parseCronSchedule } from './cron-schedule.ts'
export { flatCrds } from './dialects/crds.ts'
export {
  type Agreement,
  FLAT_API_VERSION,
  type FlatClaim,
  type FlatClaimSpec,
  type FlatPool,
  type FlatPoolSpec,
  type FlatTemplate,
  type FlatTemplateSpec,
  TRANSLATED,
  TRANSLATED_REASONS,
} from './dialects/flat.ts'
export { returnClaim, translateClaim } from './dialects/flat-claim.ts'
export { type CanonicalPool, returnPool, translatePool } from './dialects/flat-pool.ts'
export { withoutDefaults as withoutTemplateDefaults } from './dialects/inline-template.ts'
export type { Translation } from './dialects/translation.ts'
export { farEnd } from './far-end.ts'
export { type HostPort, hostPortsConflict, hostPortsOf } from './host-ports.ts'
export { IDLE_CONNECTION_MS } from './idle-connection.ts'
export { type IntOrPercent, percentOf, scaledValue } from './int-or-percent.ts'
export {
  AGENTS_GROUP,
  ANNOTATIONS,
  EXTENSIONS_GROUP,
  isReservedAnnotation,
  isReservedLabel,
  LABELS,
  NETWORK_ANNOTATION,
  normalizeCreatedBy,
} from './keys.ts'
export { type LabelSelector, labelMatcher, selectorText, selects } from './label-selector.ts'
export { type Limited, limitConcurrency, TooManyWaiting } from './limit-concurrency.ts'
export { limitShares, type Shared } from './limit-shares.ts'
export { nameHash } from './name-hash.ts'
export { matchesNodeSelector } from './node-selection.ts'
export type * from './object.ts'
export { controllerOf, controllerReference, type Ownership, ownershipOf, referenceGroup } from './owner-reference.ts'
export {
  containerResource,
  podRequests,
  podResource,
  RESIZABLE_RESOURCES,
  requestedResources,
  reservedSpec,
} from './pod-resources.ts'
export { UPDATE_STRATEGIES, type UpdateStrategy } from './pool/choices.ts'
export { POOL_CONDITIONS, POOL_EVENTS, POOL_MESSAGES, POOL_REASONS } from './pool/conditions.ts'
export { poolCrd } from './pool/crd.ts'
export type { SandboxWarmPool, SandboxWarmPoolSpec, SandboxWarmPoolStatus } from './pool/pool.ts'
export { addProcessMetrics } from './process-metrics.ts'
export { type ProxiedPort, WEBSOCKET_BEARER } from './proxied-port.ts'
export {
  dns1123Label,
  dns1123Subdomain,
  labelValueErrors,
  type NameErrors,
  patternError,
  qualifiedName,
  tooLongFor,
} from './qualified-name.ts'
export { parseQuantity } from './quantity.ts'
export { authorityOf, endToEnd, framingOf, OF_THE_ORIGIN, type RawHeaders } from './raw-headers.ts'
export { readByStream } from './read-by-stream.ts'
export { OPERATING_MODES, type OperatingMode, SHUTDOWN_POLICIES, type ShutdownPolicy } from './sandbox/choices.ts'
export { SANDBOX_CONDITIONS, SANDBOX_EVENTS, SANDBOX_MESSAGES, SANDBOX_REASONS } from './sandbox/conditions.ts'
export { type CustomResourceDefinition, type CustomResourceVersion, sandboxCrd } from './sandbox/crd.ts'
export { IDLE, IDLE_REASONS, isSuspendedForIdleness, operatingModePatch } from './sandbox/idle.ts'
export type {
  PersistentVolumeClaimTemplate,
  PodTemplate,
  Sandbox,
  SandboxBlueprint,
  SandboxSpec,
  SandboxStatus,
} from './sandbox/sandbox.ts'
export { sandboxSpecProblem } from './sandbox/spec-problem.ts'
export { type CoreType, coreSchema } from './schema/core-schema.ts'
export type { StructuralSchema, ValidationRule } from './schema/structural-schema.ts'
export { IMAGE_FILE_ANNOTATION } from './sized-volume.ts'
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
export {
  ENV_DELIVERIES,
  INJECTION_POLICIES,
  type InjectionPolicy,
  NETWORK_POLICY_MANAGEMENTS,
} from './template/choices.ts'
export { templateCrd } from './template/crd.ts'
export { TEMPLATE_EVENTS, TEMPLATE_MESSAGES } from './template/events.ts'
export type { SandboxTemplate, SandboxTemplateSpec } from './template/template.ts'
export { LONGEST_TIMER, startTimer } from './timer.ts'
export { isSecretKey, WARM_ENV_DIRECTORY, warmEnvSecret } from './warm-env.ts'
export { yamlProblem } from './yaml-problem.ts'
export { KUBERNETES_YAML } from './yaml-scalars.ts'
