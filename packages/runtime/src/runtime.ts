/**
 * Containers on one machine, without a word of Kubernetes. A *sandbox* is what isolates: one sentry for gVisor, one set
 * of namespaces for runc; it holds one or more containers that share its network. State lives in files under one
 * directory, so that a new process finds every sandbox that an earlier one left running.
 */
import type { Duplex, Readable, Writable } from 'node:stream'
import type { ResourceLimits, ResourceUsage } from './cgroups/cgroup-files.ts'
import type { NetworkPlace } from './network/network.ts'
import type { RefusedPieces, RuleChange } from './network/rule-piece.ts'

export type { ResourceLimits, ResourceUsage }

import type { RegistryCredential } from './registry/credentials.ts'

/** Runtimes with a command line as OCI has it, and those behind containerd's shim protocol, version 2. */
export type OciHandler = 'runsc' | 'runc' | 'crun'
export type ShimHandler = 'runc-v2' | 'kata' | 'kata-fc'

/** Named as in a RuntimeClass `handler`. */
export type RuntimeHandler = OciHandler | ShimHandler

export type NetworkSpec =
  /** Loopback only. */
  | { kind: 'none' }
  /** An interface of its own with an address from the pod network, in a network namespace of its own. */
  | { kind: 'pod' }

export interface SandboxSpec {
  /** Unique on this machine and over time; [a-z0-9-], at most 64 characters. */
  id: string
  handler: RuntimeHandler
  hostname: string
  network: NetworkSpec
  /**
   * True where several containers live in the sandbox or come and go in it (a pause process then holds it open). False
   * where one container at a time is alive in it, and those that are `beside` it: that container is then the sandbox's
   * first process, which halves the start-up time; starting another one after it has exited makes a new sentry in the
   * same network namespace.
   */
  shared: boolean
  /**
   * Directory of the snapshot that its container will be restored from: a sandbox that was made ahead and fits is taken
   * where there is one.
   */
  snapshot?: string
  /** Of all its containers together; what a sentry needs for itself comes on top. */
  limits: ResourceLimits
  /**
   * Kernel parameters of its network and IPC namespaces, by names with dots. Under gVisor those of `SENTRY_PARAMETERS` alone,
   * and in a shared sandbox.
   */
  sysctls?: Record<string, string>
  /** Opaque to the runtime, returned by `list`. */
  labels: Record<string, string>
}

export interface Mount {
  /** Absolute path in the container. */
  destination: string
  /** A host path for `bind`. */
  source?: string
  kind: 'bind' | 'tmpfs'
  readOnly: boolean
  /** tmpfs only, bytes. */
  sizeBytes?: number
}

export interface ContainerSpec {
  /** Unique on this machine and over time; [a-z0-9-], at most 72 characters. */
  id: string
  sandboxId: string
  /**
   * What it is in its sandbox, the same in every copy of it: the containers of a shared sandbox are restored by it. Those
   * without a name cannot be kept there.
   */
  name?: string
  /**
   * A running container of a sandbox that is not shared, into whose sentry or namespaces this one comes. A sentry ends
   * with the container that it was made for, and what is beside that one with it.
   */
  beside?: string
  /** A running container of the same sandbox: its processes are seen, numbered as it numbers them, and can be signalled. */
  processesOf?: string
  /** Image reference as the image store knows it. */
  image: string
  /** Which image that has to be, by now; whatever has the name, where it is not given. */
  imageId?: string
  args: string[]
  env: Record<string, string>
  cwd: string
  user: { uid: number; gid: number; additionalGids: number[] }
  mounts: Mount[]
  readOnlyRootfs: boolean
  noNewPrivileges: boolean
  /** OCI names, CAP_ prefix. */
  capabilities: string[]
  privileged: boolean
  tty: boolean
  /** Of this container alone, where the runtime can tell containers apart: a sentry holds all of its own to the sandbox's. */
  limits: ResourceLimits
  /** Keep a stdin that `attach` can write to; otherwise the process reads end-of-file. */
  stdin: boolean
  /** Close stdin for good when the first attached client goes. */
  stdinOnce: boolean
  /** Where the monitor writes the log, one timestamped record a line: CRI's format `<RFC3339Nano> <stdout|stderr> <F|P> <text>`. */
  logPath: string
  /** Opaque to the runtime, returned by `list`. */
  labels: Record<string, string>
}

export type ContainerState =
  /** Restored from a snapshot, and nothing of it goes on before the other containers of its sandbox are. */
  | { phase: 'created' }
  | { phase: 'running'; pid: number; startedAt: number }
  | {
      phase: 'exited'
      exitCode: number
      signal?: number
      startedAt: number
      finishedAt: number
      reason: ExitReason
      message?: string
    }

/** Why a container is no longer running. `sentry-died` and `monitor-died`: its isolation or its monitor was killed under it. */
export type ExitReason =
  | 'completed'
  | 'error'
  | 'oom-killed'
  | 'sentry-died'
  | 'monitor-died'
  | 'start-failed'
  /** Its memory was kept in a snapshot, and then it was ended. */
  | 'checkpointed'

export interface Container {
  spec: ContainerSpec
  state: ContainerState
}

export interface Sandbox {
  spec: SandboxSpec
  /** IPv4 address; undefined without a pod network. */
  ip: string | undefined
  createdAt: number
  /** False once its sentry or namespaces are gone. */
  alive: boolean
  containers: Container[]
}

export interface ExitStatus {
  exitCode: number
  signal?: number
}

export interface ExecSpec {
  args: string[]
  env: Record<string, string>
  cwd?: string
  user?: { uid: number; gid: number; additionalGids: number[] }
  tty: boolean
  stdin: boolean
  /** Initial terminal size. */
  size?: TerminalSize
  signal?: AbortSignal
}

export interface TerminalSize {
  columns: number
  rows: number
}

/** A process's streams. With a terminal there is no separate stderr. */
export interface ProcessStreams extends AsyncDisposable {
  stdin: Writable | undefined
  stdout: Readable
  stderr: Readable | undefined
  resize(size: TerminalSize): void
  /** Settles after the streams have ended; for attach also when the container exits. */
  exit: Promise<ExitStatus>
}

export interface Image {
  /** Normalised name: `docker.io/library/busybox:latest`. */
  name: string
  /** `sha256:` digest of the image configuration. */
  id: string
  sizeBytes: number
  entrypoint: string[]
  cmd: string[]
  env: Record<string, string>
  workingDir: string
  user: string
  createdAt: number
  /** Under which it can be had from registries: `docker.io/library/busybox@sha256:…`. */
  repoDigests: string[]
  /**
   * Who may use it under this name without asking its registry: everyone, or who shows one of these marks. The store
   * only keeps this; it is for the caller to heed.
   */
  grant: 'everyone' | string[]
}

/** A credential for a registry; `marks` are what later proves the right to an image that was pulled with it. */
export type MarkedCredential = RegistryCredential & { marks?: string[] }

export interface PullOptions {
  /** Asked for each server that is tried, with the repository there. Tried in order; without any the pull is anonymous. */
  credentials?: (server: string, repository: string) => Promise<readonly MarkedCredential[]>
  /**
   * The administrator of this machine pulls: from this machine itself too, for everyone, and reusing whatever is here.
   * Otherwise what is in the store counts only where it was granted to everyone or to one of the credentials' marks, so
   * that nobody gets at an image by the digests of its layers.
   */
  trusted?: boolean
  /** How long to wait for any first answer, ms. */
  reachWithinMs?: number
  onProgress?: (progress: PullProgress) => void
  signal?: AbortSignal
}

export type PullProgress =
  | { kind: 'resolved'; digest: string; layers: Array<{ digest: string; size: number }> }
  /** `bytes` of a layer are here. */
  | { kind: 'download'; digest: string; bytes: number }
  /** It was here already, wholly. */
  | { kind: 'present'; digest: string }
  | { kind: 'unpacked'; digest: string }

export interface PullResult {
  image: Image
  /** False where the registry had what is here already. */
  isNew: boolean
}

export interface CollectOptions {
  /** Collection begins at so many percent of the disk, and ends below so many. */
  highPercent: number
  lowPercent: number
  /** Of all images together; the same bounds in bytes. */
  maxBytes?: number
  /** How many there may be, however small they are. */
  maxImages?: number
  /** Images that were used within this time stay, ms. */
  minAgeMs: number
}

export interface PushOptions extends Pick<PullOptions, 'credentials'> {
  /** Another name that it is to have there. */
  to?: string
  onProgress?: (progress: { digest: string; bytes: number; present: boolean }) => void
  signal?: AbortSignal
}

export interface ImageStore {
  /** Reads a docker-archive or oci-archive (either may be compressed), of a file or as it comes. Returns the images that it held. */
  import(file: string | Readable, options?: { name?: string; signal?: AbortSignal }): Promise<Image[]>
  /**
   * Gets an image from its registry, or finds that it is here already.
   * @throws RuntimeError `image-missing`, `invalid-name`, `bad-image`, `bad-archive`, or one of the `registry-…` codes
   */
  pull(name: string, options?: PullOptions): Promise<PullResult>
  /**
   * Gives an image to a registry, under its own name or another one. Resolves with the digest of its manifest there.
   * @throws RuntimeError `image-missing`, `invalid-name`, or one of the `registry-…` codes
   */
  push(name: string, options?: PushOptions): Promise<string>
  /** Writes an oci-archive, which other engines read too. */
  export(names: string[], target: Writable, signal?: AbortSignal): Promise<void>
  list(): Promise<Image[]>
  /** Undefined where it is not in the store. `caisson.dev/host` always is. */
  /** @param id which image that is to be, whatever has the name by now */
  get(name: string, id?: string): Promise<Image | undefined>
  remove(name: string): Promise<boolean>
  /** Calls whenever a name has come, gone or got another image, by whatever process. Throws where nothing can be watched. */
  onNamed(listener: () => void): Disposable
  /** Removes pulled images that no container uses, the longest unused first, where the disk is full. */
  collect(options: CollectOptions): Promise<{ removed: string[]; missingBytes: number }>
  /**
   * Looks a name or number up in the image's /etc/passwd and /etc/group, as an OCI runtime would for `USER`.
   * Throws a `RuntimeError` where the name is not there.
   */
  resolveUser(
    image: { name: string; id?: string },
    user: string,
  ): Promise<{ uid: number; gid: number; additionalGids: number[] }>
}

/** The memory and the processes of a sandbox, as files in one private directory. */
export interface Snapshot {
  directory: string
  createdAt: number
  /** Of all its files, on disk. */
  sizeBytes: number
  /** `sha256:` over the digests of its files. */
  digest: string
  /** What it can be restored with, and with nothing else. */
  machine: SnapshotMachine
  /** What its containers ran on, by the name that it had then; in those of earlier versions none. */
  images: KeptImage[]
}

export interface KeptImage {
  /** Undefined where it is the only one. */
  container: string | undefined
  name: string
  id: string
}

export interface SnapshotMachine {
  runtimeVersion: string
  platform: string
  /** As OCI spells it. */
  architecture: string
  /** `sha256:` of the processor's features that programs can see. */
  cpuFeatures: string
}

export interface CheckpointOptions {
  /** Absolute, on a file system with room for the sandbox's memory; made, private, and must not be there yet. */
  directory: string
  /** False ends the sandbox's containers once the snapshot is whole and on disk, with the reason `checkpointed`. */
  leaveRunning: boolean
  /** Called while nothing in the sandbox runs, to keep what belongs to the same moment: its volumes. */
  whilePaused?: () => Promise<void>
}

/** What sandboxes with an address may send and receive: nothing, until it is said here. */
export interface NetworkControl {
  /** Sets the pod network up where it is not yet. Rejects with code `network-missing` where this machine cannot have one. */
  open(): Promise<NetworkPlace>
  /** Where it is set up already; so it is while any sandbox has an address. */
  place(): NetworkPlace | undefined
  /**
   * Resolves when the kernel has taken the change, with the keys of the pieces that it refused and why: those are closed
   * or left out, all others are in force. It goes on enforcing while no daemon runs; the first change that a daemon makes
   * replaces all that an earlier one left.
   */
  change(change: RuleChange): Promise<RefusedPieces>
}

export interface Runtime extends AsyncDisposable {
  images: ImageStore
  network: NetworkControl
  /** Handlers whose binary was found, with their version. */
  handlers(): Promise<Map<RuntimeHandler, { path: string; version: string }>>
  createSandbox(spec: SandboxSpec, signal?: AbortSignal): Promise<Sandbox>
  /** Creates and starts. A command that does not exist in the image rejects with `RuntimeError` code `command-not-found`. */
  startContainer(spec: ContainerSpec, signal?: AbortSignal): Promise<Container>
  /** TERM (or `signal`), then KILL after `graceMs`; resolves when it is gone. No error where it already is. */
  stopContainer(id: string, options: { graceMs: number; signal?: NodeJS.Signals }): Promise<void>
  /**
   * Other limits for a sandbox that runs, and for containers of it by their ids, where the runtime can tell them apart.
   * Rejects where more memory is in use than would be allowed.
   */
  resizeSandbox(
    id: string,
    options: { limits: ResourceLimits; containers: ReadonlyMap<string, ResourceLimits> },
  ): Promise<void>
  /** Its process must be gone. Logs stay: they belong to whoever named `logPath`. */
  removeContainer(id: string): Promise<void>
  /** Kills what is left in it and gives back network, mounts and directories. Idempotent. */
  removeSandbox(id: string): Promise<void>
  /**
   * Keeps memory, processes and what they wrote to their root in a snapshot; volumes are the caller's. Open connections
   * are reset, in the sandbox as in the snapshot. Where it fails, the sandbox goes on as before and nothing is left.
   */
  checkpoint(sandboxId: string, options: CheckpointOptions): Promise<Snapshot>
  /** A snapshot that is on disk; rejects with code `snapshot-damaged` where it is not whole. */
  readSnapshot(directory: string): Promise<Snapshot>
  /**
   * Instead of `startContainer`: has the processes of a snapshot go on in a new sandbox, under its own name and address.
   * Rejects with code `snapshot-incompatible` or `snapshot-damaged` where they cannot.
   */
  restoreContainer(spec: ContainerSpec, snapshotDirectory: string, signal?: AbortSignal): Promise<Container>
  list(): Promise<Sandbox[]>
  /** What this machine can bound: a limit on anything else makes `createSandbox` fail. */
  bounded: ReadonlySet<'memory' | 'cpu' | 'pids'>
  /** Why this process can bound nothing although the machine could; undefined where that is not so. */
  limitsProblem: string | undefined
  /** What a sandbox uses now; undefined where it is gone, or this machine does not count it. */
  usage(sandboxId: string): Promise<ResourceUsage | undefined>
  /** Bytes on disk that its containers have written to their root file systems; undefined where nobody counts them. */
  written(sandboxId: string): Promise<number | undefined>
  /**
   * Packets that went in and out of sandboxes with an address since those were given it, by their ids; without those that
   * this machine sends from `NetworkPlace.prober`, and what answers them. Costs 0.3 ms, whoever asks for how many.
   */
  traffic(): Promise<ReadonlyMap<string, number>>
  get(sandboxId: string): Promise<Sandbox | undefined>
  exec(containerId: string, spec: ExecSpec): Promise<ProcessStreams>
  /** Also to one that is being started: rejects as its start does. */
  attach(containerId: string): Promise<ProcessStreams>
  /** A TCP connection to a port of the sandbox, also one that listens on its loopback only: of these there are 64 at most. */
  connect(sandboxId: string, port: number, signal?: AbortSignal): Promise<Duplex>
  /** Called once for each container that exited; also for those that exited before this process started, after `recover`. */
  onExit(listener: (container: Container, sandbox: Sandbox) => void): Disposable
  /**
   * Adopts what an earlier process left running and removes what it left half made. Call once, before anything else.
   *
   * @param onError told of what cannot be taken away, and stays for the next process; without it `recover` rejects
   */
  recover(signal?: AbortSignal, onError?: (error: unknown, where: string) => void): Promise<Sandbox[]>
}
