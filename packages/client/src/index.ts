export {
  ApiError,
  errorFromAnswer,
  hasReason,
  isAlreadyExists,
  isApiError,
  isConflict,
  isExpired,
  isNamespaceTerminating,
  isNotFound,
  isStatus,
} from './api-error.ts'
export { sandboxClaims, sandboxes, sandboxSnapshots, sandboxTemplates, sandboxWarmPools } from './caisson-resources.ts'
export { type ChannelWriter, writeChannels } from './channel-writer.ts'
export { type Client, type CreateClientOptions, createClient, type DeepPartial } from './client.ts'
export type * from './client-options.ts'
export type { ClusterConnection, ExecPlugin, Impersonation, Material } from './cluster-connection.ts'
export { type FindConnectionOptions, findConnection, inClusterConnection } from './connect.ts'
export { type PodObject, resources } from './core-resources.ts'
export { abortable, abortableDelay } from './delay.ts'
export { createEventRecorder, type EventInput, type EventRecorder, type EventRecorderOptions } from './events.ts'
export { createHttpTransport, type HttpTransportOptions } from './http-transport.ts'
export { inProcessTransport } from './in-process-transport.ts'
export {
  createInformer,
  type Informer,
  type InformerHandlers,
  type InformerHealth,
  type InformerOptions,
} from './informer.ts'
export { createInformers, type Informers, type InformersScope } from './informers.ts'
export { type Kubeconfig, type LoadKubeconfigOptions, loadKubeconfig } from './kubeconfig.ts'
export { KubeconfigError } from './kubeconfig-fields.ts'
export { type LeaderElectionOptions, runLeaderElection } from './lease.ts'
export { limitRequests, type RequestLimit } from './limit-requests.ts'
export type { IndexFunction } from './object-cache.ts'
export { type ForwardPortOptions, forwardPort } from './port-forward.ts'
export type { ReflectorTiming, Scope } from './reflector.ts'
export { type AnswerHeaders, ask, passedOn, type Question, relayUpgrade, type UpgradedClient } from './relay/relay.ts'
export {
  type AttachOptions,
  attachToPod,
  type CommandExit,
  type ExecOptions,
  execInPod,
  type RemoteCommand,
} from './remote-command.ts'
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
export { createServerClock, type ServerClock } from './server-clock.ts'
export type {
  ApiRequest,
  ApiResponse,
  ConnectAhead,
  InProcessServer,
  PatchType,
  Transport,
  WebSocketConnection,
  WebSocketRequest,
} from './transport.ts'
export { isTransportError, TransportError, type TransportErrorCode } from './transport-error.ts'
export { claimNameOf, notMadeFor } from './volume-claims.ts'
export { createSandboxWaker, type SandboxWaker, type SandboxWakerOptions, WakeError } from './wake-sandbox.ts'
export {
  type AddOptions,
  createWorkqueue,
  type Workqueue,
  type WorkqueueMetrics,
  type WorkqueueOptions,
  type WorkResult,
} from './workqueue.ts'
export { type Precedence, yieldRequests } from './yield-requests.ts'
