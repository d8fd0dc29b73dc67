import { cgroupResources, within } from '../cgroups/cgroup-files.ts'
import type { ContainerSpec, Image, Mount, SandboxSpec } from '../runtime.ts'
import { RuntimeError } from '../runtime-error.ts'
import { isGrouped, isVirtual } from '../sandbox/handlers.ts'
import { pauseContainerId } from '../sandbox/oci-ids.ts'
import { ociProcess } from './process.ts'
import { defaultSeccomp } from './seccomp.ts'
import type { OciMount, OciSpec } from './spec.ts'

type Namespace = OciSpec['linux']['namespaces'][number]

export interface BundleOptions {
  sandbox: SandboxSpec
  container: ContainerSpec
  image: Image
  rootfs: string
  /** The control group that the OCI runtime makes for it, where that makes one. */
  cgroupsPath: string
  /** Path of the network namespace; undefined for one that has only loopback. */
  networkNamespace: string | undefined
  /** Processes whose namespaces it joins (runc, crun): all but those of processes and mounts; that of processes. */
  joined: { sandbox: number | undefined; processes: number | undefined }
  /** What runsc calls the container in whose sentry it comes; undefined for one of its own. */
  root: string | undefined
  /** Whether what is mounted over the sources of its binds later is seen in it. */
  followsMounts?: boolean
  /** Paths of the rootfs that are no longer writable in another way where `readOnlyRootfs` is set. */
  scratch: Array<{ path: string; mode: string; uid?: number; gid?: number }>
}

/** Annotations by which runsc knows which containers share a sentry, and a shim which share a shim. */
const CONTAINER_TYPE = 'io.kubernetes.cri.container-type'
const SANDBOX_ID = 'io.kubernetes.cri.sandbox-id'
/** By this one it knows them again in a snapshot. */
const CONTAINER_NAME = 'io.kubernetes.cri.container-name'

// What the field's engines hide of /proc and /sys, and what they leave to be read only.
const MASKED_PATHS = [
  '/proc/acpi',
  '/proc/asound',
  '/proc/kcore',
  '/proc/keys',
  '/proc/latency_stats',
  '/proc/sched_debug',
  '/proc/scsi',
  '/proc/timer_list',
  '/proc/timer_stats',
  '/sys/devices/virtual/powercap',
  '/sys/firmware',
]
const READONLY_PATHS = ['/proc/bus', '/proc/fs', '/proc/irq', '/proc/sys', '/proc/sysrq-trigger']

const SHM_BYTES = 64 * 1024 * 1024

/** The OCI bundle of a container. */
export function containerBundle(options: BundleOptions): OciSpec {
  const { sandbox, container, image } = options
  const isSentry = isSentryOf(sandbox)
  const isGroup = isGrouped(sandbox.handler)
  const args = container.args.length > 0 ? container.args : [...image.entrypoint, ...image.cmd]
  const annotations: Record<string, string> = {}
  if (isGroup && options.root !== undefined) {
    annotations[CONTAINER_TYPE] = 'container'
    annotations[SANDBOX_ID] = options.root
    if (container.name !== undefined) annotations[CONTAINER_NAME] = container.name
  }
  const scratch = container.readOnlyRootfs
    ? options.scratch.filter(({ path }) => !isMounted(path, container.mounts))
    : []
  return {
    ociVersion: '1.0.2',
    process: ociProcess({
      ...container,
      handler: sandbox.handler,
      args,
      env: { HOSTNAME: sandbox.hostname, ...image.env, ...container.env },
      cwd: container.cwd || image.workingDir || '/',
    }),
    root: { path: options.rootfs, readonly: container.readOnlyRootfs },
    hostname: sandbox.hostname,
    mounts: [
      ...systemMounts(isSentry, container.privileged),
      ...scratch.map(scratchMount),
      ...container.mounts.map((mount) => toOciMount(mount, options.followsMounts ? 'rslave' : 'rprivate')),
    ],
    annotations,
    linux: {
      namespaces: namespaces(options),
      ...(isSentry ? {} : confinement(options)),
      // Once, by whom the namespaces are made for.
      ...(options.joined.sandbox === undefined && sysctls(sandbox)),
    },
  }
}

/** The bundle of the process that holds a shared sandbox open. */
export function pauseBundle(
  sandbox: SandboxSpec,
  { rootfs, cgroupsPath, networkNamespace }: Pick<BundleOptions, 'rootfs' | 'cgroupsPath' | 'networkNamespace'>,
): OciSpec {
  const isSentry = isSentryOf(sandbox)
  return {
    ociVersion: '1.0.2',
    process: ociProcess({
      args: ['/pause'],
      env: {},
      cwd: '/',
      user: { uid: 65_535, gid: 65_535, additionalGids: [] },
      capabilities: [],
      privileged: false,
      handler: sandbox.handler,
      noNewPrivileges: true,
      tty: false,
    }),
    root: { path: rootfs, readonly: true },
    hostname: sandbox.hostname,
    mounts: systemMounts(isSentry, false),
    annotations: isGrouped(sandbox.handler)
      ? { [CONTAINER_TYPE]: 'sandbox', [SANDBOX_ID]: pauseContainerId(sandbox.id) }
      : {},
    linux: {
      namespaces: [
        { type: 'pid' },
        { type: 'ipc' },
        { type: 'uts' },
        { type: 'mount' },
        network(sandbox, networkNamespace),
      ],
      ...(isSentry
        ? {}
        : {
            cgroupsPath,
            maskedPaths: MASKED_PATHS,
            readonlyPaths: READONLY_PATHS,
            seccomp: defaultSeccomp([]),
            ...sysctls(sandbox),
          }),
    },
  }
}

function namespaces({ networkNamespace, joined, sandbox, container }: BundleOptions): OciSpec['linux']['namespaces'] {
  const isSentry = isSentryOf(sandbox)
  const join = (type: Namespace['type'], process: number, file: string): Namespace => ({
    type,
    path: `/proc/${process}/ns/${file}`,
  })
  if (isSentry) {
    const own: Namespace[] = [{ type: 'mount' }, { type: 'ipc' }, { type: 'uts' }, network(sandbox, networkNamespace)]
    return [...sentryProcesses(sandbox, container), ...own]
  }
  const own: Namespace[] = [
    joined.processes === undefined || isVirtual(sandbox.handler)
      ? { type: 'pid' }
      : join('pid', joined.processes, 'pid'),
    { type: 'mount' },
  ]
  // A virtual machine's processes are not the machine's, so that there is nothing to join by their ids.
  if (joined.sandbox === undefined || isVirtual(sandbox.handler))
    return [...own, { type: 'ipc' }, { type: 'uts' }, network(sandbox, networkNamespace)]
  const { sandbox: process } = joined
  return [...own, join('ipc', process, 'ipc'), join('uts', process, 'uts'), join('network', process, 'net')]
}

/**
 * A sentry opens no such path: containers that give the same one share their processes. The container that a sentry was
 * made for has those of the whole sentry, which is what a container gets that asks for none of its own.
 */
function sentryProcesses(sandbox: SandboxSpec, { id, beside, processesOf }: ContainerSpec): Namespace[] {
  if (processesOf !== undefined && processesOf === beside) return []
  if (!sandbox.shared && beside === undefined) return [{ type: 'pid' }]
  return [{ type: 'pid', path: `/proc/${processesOf ?? id}/ns/pid` }]
}

function network(sandbox: SandboxSpec, path: string | undefined): Namespace {
  if (path !== undefined) return { type: 'network', path }
  // Nor would `launchIsolated` be what starts it: it would have the machine's own.
  if (sandbox.network.kind !== 'none') throw new RuntimeError('failed', `sandbox ${sandbox.id} has lost its network`)
  // A sentry copies the interfaces that are up where it starts; `launchIsolated` starts it where there is only loopback.
  return isSentryOf(sandbox) ? { type: 'network', path: '/proc/self/ns/net' } : { type: 'network' }
}

function isSentryOf(sandbox: SandboxSpec): boolean {
  return sandbox.handler === 'runsc'
}

/** What shields the host's own kernel; a sentry needs none of it, its kernel is another one. */
function confinement({ sandbox, container, cgroupsPath }: BundleOptions): Partial<OciSpec['linux']> {
  const limits = cgroupResources(within(container.limits, sandbox.limits))
  if (container.privileged) return { cgroupsPath, resources: { ...limits, devices: [{ allow: true, access: 'rwm' }] } }
  return {
    cgroupsPath,
    maskedPaths: MASKED_PATHS,
    readonlyPaths: READONLY_PATHS,
    seccomp: defaultSeccomp(container.capabilities),
    resources: { ...limits, devices: [{ allow: false, access: 'rwm' }] },
  }
}

function sysctls({ sysctls = {} }: SandboxSpec): Pick<OciSpec['linux'], 'sysctl'> {
  return Object.keys(sysctls).length > 0 ? { sysctl: sysctls } : {}
}

function systemMounts(isSentry: boolean, privileged: boolean): OciMount[] {
  const sysfs = privileged ? ['nosuid', 'noexec', 'nodev'] : ['nosuid', 'noexec', 'nodev', 'ro']
  const mounts: OciMount[] = [
    { destination: '/proc', type: 'proc', source: 'proc', options: ['nosuid', 'noexec', 'nodev'] },
    {
      destination: '/dev',
      type: 'tmpfs',
      source: 'tmpfs',
      options: ['nosuid', 'strictatime', 'mode=755', 'size=65536k'],
    },
    {
      destination: '/dev/pts',
      type: 'devpts',
      source: 'devpts',
      options: ['nosuid', 'noexec', 'newinstance', 'ptmxmode=0666', 'mode=0620', 'gid=5'],
    },
    {
      destination: '/dev/shm',
      type: 'tmpfs',
      source: 'shm',
      options: ['nosuid', 'noexec', 'nodev', 'mode=1777', `size=${SHM_BYTES}`],
    },
    { destination: '/sys', type: 'sysfs', source: 'sysfs', options: sysfs },
  ]
  if (!isSentry)
    mounts.push({
      destination: '/dev/mqueue',
      type: 'mqueue',
      source: 'mqueue',
      options: ['nosuid', 'noexec', 'nodev'],
    })
  return mounts
}

function toOciMount(mount: Mount, propagation: 'rprivate' | 'rslave'): OciMount {
  if (mount.kind === 'tmpfs') {
    const size = mount.sizeBytes === undefined ? [] : [`size=${mount.sizeBytes}`]
    return {
      destination: mount.destination,
      type: 'tmpfs',
      source: 'tmpfs',
      options: ['nosuid', 'nodev', 'mode=1777', ...size, mount.readOnly ? 'ro' : 'rw'],
    }
  }
  return {
    destination: mount.destination,
    type: 'bind',
    source: mount.source ?? '',
    options: ['rbind', propagation, 'nosuid', 'nodev', mount.readOnly ? 'ro' : 'rw'],
  }
}

function scratchMount(scratch: BundleOptions['scratch'][number]): OciMount {
  const owner = scratch.uid === undefined ? [] : [`uid=${scratch.uid}`, `gid=${scratch.gid ?? scratch.uid}`]
  return {
    destination: scratch.path,
    type: 'tmpfs',
    source: 'tmpfs',
    options: ['nosuid', 'nodev', `mode=${scratch.mode}`, ...owner],
  }
}

function isMounted(path: string, mounts: Mount[]): boolean {
  return mounts.some(({ destination }) => destination === path || path.startsWith(`${destination}/`))
}
