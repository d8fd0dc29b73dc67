import { describe, expect, test } from 'vitest'
import type { ContainerSpec, Image, RuntimeHandler, SandboxSpec } from '../runtime.ts'
import { type BundleOptions, containerBundle, pauseBundle } from './bundle.ts'
import { defaultSeccomp } from './seccomp.ts'

const sandbox: SandboxSpec = {
  id: 's',
  handler: 'runsc',
  hostname: 'name',
  network: { kind: 'none' },
  shared: false,
  labels: {},
  limits: {},
}
const container: ContainerSpec = {
  id: 's-1',
  sandboxId: 's',
  image: 'test',
  args: [],
  env: { B: 'container', PATH: '/own' },
  cwd: '',
  user: { uid: 7, gid: 8, additionalGids: [9] },
  mounts: [],
  readOnlyRootfs: false,
  noNewPrivileges: true,
  capabilities: ['CAP_CHOWN', 'CAP_CHOWN'],
  privileged: false,
  tty: false,
  stdin: false,
  stdinOnce: false,
  logPath: '/log',
  labels: {},
  limits: {},
}
const image: Image = {
  name: 'test',
  id: 'sha256:0',
  sizeBytes: 0,
  entrypoint: ['/entry'],
  cmd: ['cmd'],
  env: { A: 'image', B: 'image' },
  workingDir: '/work',
  user: '',
  createdAt: 0,
  repoDigests: [],
  grant: 'everyone',
}

const place = { rootfs: '/rootfs', cgroupsPath: '/all/s/s-1', networkNamespace: undefined }

function bundle(
  changes: {
    sandbox?: Partial<SandboxSpec>
    container?: Partial<ContainerSpec>
    options?: Partial<BundleOptions>
  } = {},
) {
  return containerBundle({
    sandbox: { ...sandbox, ...changes.sandbox },
    container: { ...container, ...changes.container },
    image,
    ...place,
    joined: { sandbox: undefined, processes: undefined },
    root: undefined,
    scratch: [{ path: '/tmp', mode: '1777' }],
    ...changes.options,
  })
}

describe('the process', () => {
  test('is the image’s where the container names none, in its directory, with both environments', () => {
    expect(bundle().process).toMatchObject({
      args: ['/entry', 'cmd'],
      cwd: '/work',
      env: ['PATH=/own', 'HOSTNAME=name', 'A=image', 'B=container'],
      user: { uid: 7, gid: 8, additionalGids: [9] },
      noNewPrivileges: true,
    })
  })

  test('of another user than root holds no capability, but may gain those that are bounded', () => {
    expect(bundle().process.capabilities).toEqual({
      bounding: ['CAP_CHOWN'],
      effective: [],
      permitted: [],
      inheritable: [],
      ambient: [],
    })
    expect(
      bundle({ container: { user: { uid: 0, gid: 0, additionalGids: [] } } }).process.capabilities.effective,
    ).toEqual(['CAP_CHOWN'])
  })
})

test('makes no device files under crun, which nothing keeps from opening them', () => {
  const given = (handler: RuntimeHandler, privileged = false) =>
    bundle({ sandbox: { handler }, container: { capabilities: ['CAP_CHOWN', 'CAP_MKNOD'], privileged } }).process
      .capabilities.bounding
  expect(given('crun')).toEqual(['CAP_CHOWN'])
  expect(given('runsc')).toEqual(['CAP_CHOWN', 'CAP_MKNOD'])
  // Of a privileged one the machine is its own anyway.
  expect(given('crun', true)).toContain('CAP_MKNOD')
})

describe('namespaces', () => {
  const namespaces = (changes: Parameters<typeof bundle>[0]) =>
    bundle(changes).linux.namespaces.map(({ type, path }) => [type, path])

  test('a sentry without a network starts in the one that it was launched in', () => {
    expect(namespaces({})).toEqual([
      ['pid', undefined],
      ['mount', undefined],
      ['ipc', undefined],
      ['uts', undefined],
      ['network', '/proc/self/ns/net'],
    ])
  })

  test('a runc container without a network gets one of its own', () => {
    expect(namespaces({ sandbox: { handler: 'runc' } })).toContainEqual(['network', undefined])
  })

  test('kernel parameters are set where the namespaces are made', () => {
    const sysctls = { 'net.ipv4.tcp_syncookies': '2' }
    const own = { ...sandbox, handler: 'runc' as const, sysctls }
    const joined = { sandbox: 42, processes: undefined }
    expect([
      bundle({ sandbox: own }).linux.sysctl,
      bundle({ sandbox: { ...own, shared: true }, options: { joined } }).linux.sysctl,
      pauseBundle({ ...own, shared: true }, place).linux.sysctl,
      bundle({ sandbox: { ...own, sysctls: {} } }).linux.sysctl,
    ]).toEqual([sysctls, undefined, sysctls, undefined])
  })

  test('a pod network is joined by its path', () => {
    expect(namespaces({ options: { networkNamespace: '/run/netns/x' } })).toContainEqual(['network', '/run/netns/x'])
  })

  test.each<RuntimeHandler>(['runsc', 'runc'])(
    'a %s sandbox without its pod network does not begin in another',
    (handler) => {
      const own = { ...sandbox, handler, network: { kind: 'pod' as const } }
      expect(() => bundle({ sandbox: own })).toThrow('sandbox s has lost its network')
      expect(() => pauseBundle({ ...own, shared: true }, place)).toThrow('sandbox s has lost its network')
    },
  )

  test('runc containers of a shared sandbox join those of its first process, but for processes and mounts', () => {
    const joins = (processes?: number) =>
      namespaces({ sandbox: { handler: 'runc', shared: true }, options: { joined: { sandbox: 42, processes } } })
    expect(joins()).toEqual([
      ['pid', undefined],
      ['mount', undefined],
      ['ipc', '/proc/42/ns/ipc'],
      ['uts', '/proc/42/ns/uts'],
      ['network', '/proc/42/ns/net'],
    ])
    expect(joins(43)[0]).toEqual(['pid', '/proc/43/ns/pid'])
  })

  test.each<[string, boolean, Partial<ContainerSpec>, Array<[string, string | undefined]>]>([
    ['its sentry has them all', false, {}, [['pid', undefined]]],
    ['those of the sentry that it came into', false, { beside: 's-0', processesOf: 's-0' }, []],
    ['its own in a sentry that it came into', false, { beside: 's-0' }, [['pid', '/proc/s-1/ns/pid']]],
    ['its own in a shared sentry', true, {}, [['pid', '/proc/s-1/ns/pid']]],
    ['those of another one in a shared sentry', true, { processesOf: 's-0' }, [['pid', '/proc/s-0/ns/pid']]],
  ])('a container sees processes: %s', (_what, shared, changes, expected) => {
    const found = namespaces({ sandbox: { shared }, container: changes })
    expect(found.filter(([type]) => type === 'pid')).toEqual(expected)
  })
})

test('containers of a shared sentry and the one that holds it open name the same sandbox', () => {
  const root = pauseBundle({ ...sandbox, shared: true }, place)
  expect([
    bundle({ sandbox: { shared: true }, options: { root: 's.pause' } }).annotations,
    root.annotations,
    bundle().annotations,
  ]).toEqual([
    { 'io.kubernetes.cri.container-type': 'container', 'io.kubernetes.cri.sandbox-id': 's.pause' },
    { 'io.kubernetes.cri.container-type': 'sandbox', 'io.kubernetes.cri.sandbox-id': 's.pause' },
    {},
  ])
  expect(bundle({ container: { beside: 's-0' }, options: { root: 's-0.c' } }).annotations).toEqual({
    'io.kubernetes.cri.container-type': 'container',
    'io.kubernetes.cri.sandbox-id': 's-0.c',
  })
})

test('a read-only root keeps its scratch directories writable, unless something is mounted there', () => {
  const scratch = (mounts: ContainerSpec['mounts']) =>
    bundle({ container: { readOnlyRootfs: true, mounts } }).mounts.filter(({ destination }) => destination === '/tmp')
  expect(scratch([])).toEqual([
    { destination: '/tmp', type: 'tmpfs', source: 'tmpfs', options: ['nosuid', 'nodev', 'mode=1777'] },
  ])
  expect(scratch([{ kind: 'bind', source: '/volume', destination: '/tmp', readOnly: true }])).toEqual([
    { destination: '/tmp', type: 'bind', source: '/volume', options: ['rbind', 'rprivate', 'nosuid', 'nodev', 'ro'] },
  ])
})

describe('what shields the machine’s own kernel', () => {
  test('is not for a sentry, and not where the container is privileged', () => {
    const linux = (changes: Parameters<typeof bundle>[0]) => Object.keys(bundle(changes).linux).sort()
    expect([
      linux({}),
      linux({ sandbox: { handler: 'runc' } }),
      linux({ sandbox: { handler: 'runc' }, container: { privileged: true } }),
    ]).toEqual([
      ['namespaces'],
      ['cgroupsPath', 'maskedPaths', 'namespaces', 'readonlyPaths', 'resources', 'seccomp'],
      ['cgroupsPath', 'namespaces', 'resources'],
    ])
  })

  test('has its bounds in a group of its sandbox, and no more of the processors than that', () => {
    const limited = (cpuMillicores?: number) => {
      const limits = cpuMillicores === undefined ? {} : { cpuMillicores }
      return bundle({ sandbox: { handler: 'runc', limits }, container: { limits: { cpuMillicores: 900 } } }).linux
    }
    const quota = (millicores: number) => ({ shares: 2, quota: millicores * 100, period: 100_000 })
    expect(limited()).toMatchObject({ cgroupsPath: '/all/s/s-1', resources: { cpu: quota(900) } })
    expect([limited(500), limited(1500)]).toMatchObject([500, 900].map((each) => ({ resources: { cpu: quota(each) } })))
  })

  test('leaves out what kernel exploits begin with', () => {
    const allowed = (capabilities: string[]) =>
      new Set(
        defaultSeccomp(capabilities)
          .syscalls.filter(({ action, args }) => action === 'SCMP_ACT_ALLOW' && !args)
          .flatMap(({ names }) => names),
      )
    const dangerous = [
      'bpf',
      'clone',
      'clone3',
      'io_uring_setup',
      'keyctl',
      'add_key',
      'kexec_load',
      'mount',
      'open_by_handle_at',
      'perf_event_open',
      'reboot',
      'setns',
      'unshare',
      'userfaultfd',
    ]
    expect(dangerous.filter((name) => allowed([]).has(name))).toEqual([])
    expect(dangerous.filter((name) => allowed(['CAP_SYS_ADMIN']).has(name))).toEqual([
      'bpf',
      'clone',
      'clone3',
      'mount',
      'perf_event_open',
      'setns',
      'unshare',
    ])
    expect(
      ['read', 'execve', 'futex', 'openat', 'mmap', 'socketpair'].filter((name) => !allowed([]).has(name)),
    ).toEqual([])
  })
})
