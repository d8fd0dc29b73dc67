export type { NetworkGate, PodAddress } from './network-gate.ts'
export type { ProcessService } from './services/process-service.ts'
export { waitsAtPort } from './sleeping-ports.ts'
export { type Network, type StartNetworkOptions, startNetwork } from './start-network.ts'
