export {
  ApiError,
  errorFromAnswer,
  hasReason,
  isAlreadyExists,
  isApiError,
  isConflict,
  isExpired,
  isNotFound,
  isStatus,
} from './api-error.ts'
export { type Client, type CreateClientOptions, createClient, type DeepPartial } from './client.ts'
export type * from './client-options.ts'
export { type PodObject, resources } from './core-resources.ts'
export type { ClusterConnection, ExecPlugin, Impersonation, Material } from './cluster-connection.ts'
export { type FindConnectionOptions, findConnection, inClusterConnection } from './connect.ts'
export { createHttpTransport, type HttpTransportOptions } from './http-transport.ts'
export { inProcessTransport } from './in-process-transport.ts'
export { type Kubeconfig, type LoadKubeconfigOptions, loadKubeconfig } from './kubeconfig.ts'
export { KubeconfigError } from './kubeconfig-fields.ts'
export {
  type AnyObject,
  type Draft,
  defineResource,
  joinKey,
  keyOf,
  type ObjectPath,
  type Resource,
  type ResourceDefinition,
  resourcePath,
  splitKey,
  type Typed,
} from './resource.ts'
export type { ApiRequest, ApiResponse, InProcessServer, PatchType, Transport } from './transport.ts'
export { isTransportError, TransportError, type TransportErrorCode } from './transport-error.ts'
