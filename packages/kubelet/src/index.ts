export {
  createNodeApi,
  type NodeApi,
  type NodeApiOptions,
  type ServedContainer,
  type ServedPod,
} from './streaming/node-api.ts'
export type { LogSource } from './streaming/container-log.ts'
