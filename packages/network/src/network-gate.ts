/** The network's side of a Pod's life, as the node agent calls it. */
import type { PodObject } from '@caisson/client'

/** A Pod's sandbox that has an address. */
export interface PodAddress {
  uid: string
  ip: string
  /** Nothing goes in or out but what a policy that selects the Pod opens; decided once, when the sandbox was made. */
  isolated: boolean
}

export interface NetworkGate {
  /** Tells once, before anything else, whose sandboxes an earlier agent left. Resolves when their rules are in force again. */
  adopt(addresses: readonly PodAddress[]): Promise<void>
  /** Resolves when what the Pod may send and receive is in force: until then nothing of it gets through. */
  admit(pod: PodObject, address: PodAddress): Promise<void>
  /** The Pod's sandbox is gone. */
  leave(uid: string): void
}
