/** The network of a sandbox that has one of its own. */
export interface SandboxNetwork {
  ip: string
  /** Path of the network namespace, for the OCI bundle. */
  namespace: string
}

/** Gives each sandbox a network namespace with an interface and an address of the pod network. */
export interface PodNetwork {
  attach(sandboxId: string, signal?: AbortSignal): Promise<SandboxNetwork>
  /** Makes the namespace as it was for the next sentry: the one before has taken the address out of it. */
  renew(sandboxId: string): Promise<void>
  /** No error where it has none. */
  detach(sandboxId: string): Promise<void>
  get(sandboxId: string): SandboxNetwork | undefined
  /** Finds again what is there and removes what belongs to no sandbox. */
  recover(sandboxIds: Set<string>): Promise<void>
  /** Gives back what was made ahead, and everything where no sandbox has a network. */
  close(): Promise<void>
}
