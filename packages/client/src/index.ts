export type { ApiRequest, ApiResponse, InProcessServer, PatchType, Transport } from './transport.ts'
