export { findStrayCgroups, removeStrayCgroup } from './cgroups/stray-groups.ts'
export { createRuntime } from './create-runtime.ts'
export { HOST_IMAGE, HOST_IMAGE_USER } from './images/host-image.ts'
export { openImageStore } from './images/open-image-store.ts'
export {
  formatReference,
  type ImageReference,
  normalizeReference,
  parseReference,
  repositoryOf,
} from './images/reference.ts'
export { copyTree, type TreeCopy } from './kernel/copy-tree.ts'
export { runMonitor } from './monitor/monitor-server.ts'
export { readMountTable } from './mount-points.ts'
export { METADATA_RANGES } from './network/firewall.ts'
export { findForwardDrops } from './network/forward-drops.ts'
export type { NetworkPlace } from './network/network.ts'
export { findStrayNetworks, removeStrayNetwork, type StrayNetwork } from './network/network-register.ts'
export type { RefusedPieces, RuleChain, RuleChange, RulePiece, RuleSet, SetElement } from './network/rule-piece.ts'
export type { RuntimeOptions } from './open-parts.ts'
export { readRecord } from './read-record.ts'
export type { RegistryCredential } from './registry/credentials.ts'
export { createKeyring, credentialOf, type DockerAuth, type Keyring } from './registry/keyring.ts'
export type { RegistryConfig, RegistryHost } from './registry/registry-config.ts'
export { hiddenDetail } from './registry/registry-failure.ts'
export type * from './runtime.ts'
export { RuntimeError, type RuntimeErrorCode } from './runtime-error.ts'
export { SENTRY_PARAMETERS } from './sandbox/inside.ts'
export { removeDeep } from './sandbox/remove-deep.ts'
export { imagesOfSnapshot } from './sandbox/snapshot-files.ts'
export { findStrayProcesses, removeStrayProcesses } from './sandbox/stray-processes.ts'
export { settlesWithin } from './settles-within.ts'
export { virtualisationProblem } from './tools/hardware.ts'
export { type InstallToolsOptions, installTools } from './tools/install-tools.ts'
export { fetchPackages } from './tools/private-apt.ts'
export { probeRunsc } from './tools/probe-runsc.ts'
export { runProgram } from './tools/run-program.ts'
export {
  defaultToolsDirectory,
  findTool,
  type PackagedTool,
  type RunscPlatform,
  runscPlatform,
  type Tool,
  type ToolName,
} from './tools/tools.ts'
