export { sysctlPatternProblem } from './containers/sysctls.ts'
export {
  type KeyPair,
  keepCertificates,
  readKeyPair,
  requestNodeCertificate,
  writeKeyPair,
} from './identity/node-certificates.ts'
export { CertificateError } from './identity/request-certificate.ts'
export { primaryAddress } from './node/machine.ts'
export type { OwnNodeFields } from './node/node-object.ts'
export { type StopNodeOptions, stopNode } from './node/stop-node.ts'
export { createNodeAuthentication } from './server/node-authentication.ts'
export { createNodeAuthorization } from './server/node-authorization.ts'
export { type ServedNodeApi, type ServingTls, serveNodeApi } from './server/serve-node-api.ts'
export { snapshotImages } from './snapshots/snapshot-images.ts'
export { type Kubelet, type StartKubeletOptions, startKubelet } from './start-kubelet.ts'
export type { LogSource } from './streaming/container-log.ts'
export {
  createNodeApi,
  type NodeApi,
  NodeApiError,
  type NodeApiOptions,
} from './streaming/node-api.ts'
export type { ServedContainer, ServedPod } from './streaming/served-pod.ts'
export {
  createSystemProcesses,
  type SystemProcess,
  type SystemProcesses,
  type SystemProcessOptions,
  type SystemProcessState,
} from './system/system-processes.ts'
export { removeTree } from './volumes/remove-tree.ts'
export { findStraySecrets, removeStraySecrets } from './volumes/secrets-memory.ts'
