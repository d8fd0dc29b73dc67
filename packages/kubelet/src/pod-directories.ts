/** Where a Pod's files live on this machine. Everything is below one directory that only its owner may enter. */
import { join } from 'node:path'

export interface PodIdentity {
  namespace: string
  name: string
  uid: string
}

export interface PodDirectories {
  /** Holds a directory for each Pod, named by uid. */
  pods: string
  /** Holds a directory for each Pod's logs. */
  logs: string
  /** Holds a directory for each SandboxSnapshot, named by uid. */
  snapshots: string
  /** In memory where this node may mount: holds a directory for each Pod, named by uid, with what no disk should keep. */
  secrets: string
  /** Holds the node's own programs. */
  programs: string
  snapshot(uid: string): string
  pod(uid: string): string
  volume(uid: string, name: string): string
  /** A file that says that a volume was filled from a snapshot. */
  filled(uid: string, name: string): string
  /** A file that names the volumes of claims that the Pod has. */
  heldVolumes(uid: string): string
  /** Below `secrets`. */
  podSecrets(uid: string): string
  secretVolume(uid: string, name: string): string
  /** Where a container's view of a part of a volume is mounted. */
  subPath(uid: string, container: string, index: number): string
  /** A file of `/etc` that all containers of the Pod share. */
  etcFile(uid: string, file: 'hosts' | 'hostname' | 'resolv.conf'): string
  /** Holds those files. */
  etc(uid: string): string
  /** Holds a file for what each of the newest runs of a container had to say at its end. */
  lastWords(uid: string, container: string): string
  terminationMessage(uid: string, container: string, restartCount: number): string
  podLogs(pod: PodIdentity): string
  log(pod: PodIdentity, container: string, restartCount: number): string
}

/** Bytes, on Linux. */
const LONGEST_FILE_NAME = 255

export function podDirectories(dataDirectory: string): PodDirectories {
  const pods = join(dataDirectory, 'pods')
  const logs = join(dataDirectory, 'logs')
  const snapshots = join(dataDirectory, 'snapshots')
  const secrets = join(dataDirectory, 'secrets')
  const pod = (uid: string) => join(pods, segment(uid))
  const podSecrets = (uid: string) => join(secrets, segment(uid))
  const lastWords = (uid: string, container: string) => join(pod(uid), 'containers', segment(container))
  const podLogs = ({ namespace, name, uid }: PodIdentity) => {
    // Whose it is, its end says: a Pod's name may be as long as a file's, without the rest.
    const end = `_${segment(uid)}`
    return join(logs, `${segment(namespace)}_${segment(name)}`.slice(0, LONGEST_FILE_NAME - end.length) + end)
  }
  return {
    pods,
    logs,
    snapshots,
    secrets,
    programs: join(dataDirectory, 'programs'),
    snapshot: (uid) => join(snapshots, segment(uid)),
    pod,
    volume: (uid, name) => join(pod(uid), 'volumes', segment(name)),
    filled: (uid, name) => join(pod(uid), 'filled', segment(name)),
    heldVolumes: (uid) => join(pod(uid), 'held-volumes.json'),
    podSecrets,
    secretVolume: (uid, name) => join(podSecrets(uid), segment(name)),
    subPath: (uid, container, index) => join(pod(uid), 'sub-paths', segment(container), String(index)),
    etcFile: (uid, file) => join(pod(uid), 'etc', file),
    etc: (uid) => join(pod(uid), 'etc'),
    lastWords,
    terminationMessage: (uid, container, restartCount) =>
      join(lastWords(uid, container), `${restartCount}.termination`),
    podLogs,
    log: (identity, container, restartCount) => join(podLogs(identity), segment(container), `${restartCount}.log`),
  }
}

/** Names come from the API server, which lets no others in; as parts of paths they are looked at once more. */
function segment(name: string): string {
  if (!/^[a-zA-Z0-9][a-zA-Z0-9.-]*$/.test(name) || name.length > 253) {
    throw new TypeError(`${JSON.stringify(name.slice(0, 100))} cannot be the name of a directory`)
  }
  return name
}
