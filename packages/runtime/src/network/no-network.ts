import { RuntimeError } from '../runtime-error.ts'
import type { PodNetwork } from './network.ts'

/** In place of the pod network where this process may not have one: what needs it is told why. */
export function createNoNetwork(reason: string): PodNetwork {
  // Async, so that whoever calls hears of it as of any other failure.
  const refuse = async (): Promise<never> => {
    throw new RuntimeError('network-missing', reason)
  }
  return {
    open: refuse,
    change: refuse,
    reserve: refuse,
    unreserve: async () => {},
    attach: refuse,
    renew: async () => {},
    detach: async () => {},
    get: () => undefined,
    place: () => undefined,
    traffic: async () => new Map(),
    recover: async () => {},
    close: async () => {},
  }
}
