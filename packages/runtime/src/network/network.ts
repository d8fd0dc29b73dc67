import type { RefusedPieces, RuleChange } from './rule-piece.ts'

/** The network of a sandbox that has one of its own. */
export interface SandboxNetwork {
  ip: string
  /** Path of the network namespace, for the OCI bundle. */
  namespace: string
}

/** A network that no sandbox has yet. */
export interface ReservedNetwork {
  index: number
  namespace: string
}

/** How the network of this machine's sandboxes lies in the machine. */
export interface NetworkPlace {
  /** The range that sandboxes have their addresses from, such as `10.213.0.0/16`. */
  range: string
  /** This machine's address in it: what listens there is reached by sandboxes where the rules let them, and by nobody else. */
  gateway: string
  /** The address that it asks sandboxes from: what it sends from there is not counted as `traffic`. */
  prober: string
}

/** Gives each sandbox a network namespace with an interface and an address of the pod network. */
export interface PodNetwork {
  /** Sets up what all share; nothing to do the second time. Rejects with code `network-missing` where this machine cannot. */
  open(): Promise<NetworkPlace>
  /** Changes what sandboxes may send and receive; see `RulePiece`. Gives what was refused, see `Firewall`. */
  change(change: RuleChange): Promise<RefusedPieces>
  /** Gives a sandbox one of its own: that which was reserved, if any. */
  attach(
    sandboxId: string,
    options?: { signal?: AbortSignal | undefined; reserved?: ReservedNetwork | undefined },
  ): Promise<SandboxNetwork>
  /** A network for a sandbox that is made ahead. */
  reserve(): Promise<ReservedNetwork>
  unreserve(reserved: ReservedNetwork): Promise<void>
  /** Makes the namespace as it was for the next sentry: the one before has taken the address out of it. */
  renew(sandboxId: string): Promise<void>
  /** No error where it has none. */
  detach(sandboxId: string): Promise<void>
  get(sandboxId: string): SandboxNetwork | undefined
  /** Once it is open. */
  place(): NetworkPlace | undefined
  /** Packets that went in and out of sandboxes until now, by their ids, but for those of the prober. */
  traffic(): Promise<ReadonlyMap<string, number>>
  /** Finds again what is there and removes what belongs to no sandbox. */
  recover(sandboxIds: Set<string>): Promise<void>
  /** Gives back what was made ahead, and everything where no sandbox has a network. */
  close(): Promise<void>
}
