import fc from 'fast-check'
import type { Container, EnvFromSource } from 'kubernetes-types/core/v1.d.ts'
import { describe, expect, test } from 'vitest'
import type { ConfigMapObject, SecretObject, ServiceObject } from '../pod-sources.ts'
import { aPod } from '../pods/observed-pod-fixtures.ts'
import { fieldValue, type PodPlace, resourceValue } from './downward-api.ts'
import { containerEnvironment } from './environment.ts'
import { expandCommand, expandVariables } from './expand-variables.ts'
import { hostsFile, podHostname, resolverFile } from './host-files.ts'
import { capabilities, containerSecurity } from './security.ts'

const place: PodPlace = {
  podIp: '10.1.0.2',
  hostIp: '192.0.2.1',
  nodeName: 'node',
  allocatable: { cpu: '2', memory: '4Gi' },
}

describe('expandVariables', () => {
  const values = new Map([
    ['A', 'a'],
    ['EMPTY', ''],
    ['NESTED', '$(A)'],
  ])
  test.each([
    ['$(A)', 'a'],
    ['x$(A)y$(A)', 'xaya'],
    ['$(MISSING)', '$(MISSING)'],
    ['$(EMPTY)', ''],
    ['$$(A)', '$(A)'],
    ['$$$(A)', '$a'],
    ['$(A', '$(A'],
    ['$', '$'],
    ['$A ${A}', '$A ${A}'],
    ['$()', '$()'],
    ['$(NESTED)', '$(A)'],
  ])('%s', (text, expected) => {
    expect(expandVariables(text, (name) => values.get(name))).toBe(expected)
  })

  test('the parts of a command are bounded together', () => {
    const valueOf = (): string => 'x'.repeat(1024 * 1024)
    expect(expandCommand(['$(A)', '$(A)'], valueOf).map((part) => part.length)).toEqual([1_048_576, 1_048_576])
    expect(() => expandCommand(['$(A)', '$(A)', 'x'], valueOf)).toThrow('the command is longer than 2097152 characters')
  })

  test('text without a dollar is left alone', () => {
    fc.assert(
      fc.property(
        fc.string().filter((text) => !text.includes('$')),
        (text) => {
          expect(expandVariables(text, () => 'x')).toBe(text)
        },
      ),
    )
  })
})

test('values that double with each step do not fill the memory', async () => {
  expect(() => expandVariables('$(A)$(A)', () => 'x'.repeat(600_000))).toThrow('longer than 1048576 characters')
  const env = Array.from({ length: 100 }, (_, step) => ({
    name: `V${step}`,
    value: step === 0 ? 'xx' : `$(V${step - 1})$(V${step - 1})`,
  }))
  const environment = (steps: number): Promise<Map<string, string>> =>
    containerEnvironment(
      aPod(),
      { name: 'main', env: env.slice(0, steps) },
      {
        sources: { services: () => [], configMap: async () => undefined, secret: async () => undefined },
        place,
      },
    )
  expect((await environment(10)).get('V9')).toBe('x'.repeat(1024))
  await expect(environment(100)).rejects.toThrow(/is larger than|is longer than/)
})

describe('containerEnvironment', () => {
  const cfg: ConfigMapObject = {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'cfg' },
    data: { color: 'blue', __proto__x: 'p' },
  }
  const sec: SecretObject = {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: 'sec' },
    data: { password: Buffer.from('s3cret').toString('base64') },
  }
  const service = (name: string, clusterIP: string, ports: object[]): ServiceObject =>
    ({ apiVersion: 'v1', kind: 'Service', metadata: { name }, spec: { clusterIP, ports } }) as ServiceObject
  const services = new Map([
    ['default', [service('kubernetes', '10.2.0.1', [{ name: 'https', port: 443 }])]],
    [
      'team',
      [service('my-db', '10.2.0.9', [{ port: 5432, protocol: 'TCP' }]), service('headless', 'None', [{ port: 1 }])],
    ],
  ])
  const sources = {
    configMap: async (_namespace: string, name: string) => (name === 'cfg' ? cfg : undefined),
    secret: async (_namespace: string, name: string) => (name === 'sec' ? sec : undefined),
    services: (namespace: string) => services.get(namespace) ?? [],
  }

  async function environment(container: Partial<Container>, options: { links?: boolean } = {}) {
    const pod = aPod({ spec: { enableServiceLinks: options.links ?? false } })
    pod.metadata.namespace = 'team'
    const found = await containerEnvironment(pod, { name: 'main', ...container }, { sources, place })
    return Object.fromEntries([...found].filter(([name]) => !name.startsWith('KUBERNETES_') || options.links))
  }

  test.each<[name: string, container: Partial<Container>, expected: Record<string, string> | string]>([
    [
      'values refer to what stands before them',
      {
        env: [
          { name: 'B', value: '$(A)' },
          { name: 'A', value: 'a' },
          { name: 'C', value: '$(A)-$(B)' },
        ],
      },
      { B: '$(A)', A: 'a', C: 'a-$(A)' },
    ],
    [
      'the last of a name counts',
      {
        env: [
          { name: 'A', value: '1' },
          { name: 'A', value: '2' },
        ],
      },
      { A: '2' },
    ],
    [
      'everything of a ConfigMap and a Secret, with a prefix',
      { envFrom: [{ configMapRef: { name: 'cfg' } }, { prefix: 'S_', secretRef: { name: 'sec' } }] },
      { color: 'blue', __proto__x: 'p', S_password: 's3cret' },
    ],
    [
      'single keys',
      {
        env: [
          { name: 'COLOR', valueFrom: { configMapKeyRef: { name: 'cfg', key: 'color' } } },
          { name: 'PASSWORD', valueFrom: { secretKeyRef: { name: 'sec', key: 'password' } } },
        ],
      },
      { COLOR: 'blue', PASSWORD: 's3cret' },
    ],
    [
      'what is optional may be missing',
      {
        envFrom: [{ configMapRef: { name: 'none', optional: true } }],
        env: [
          { name: 'A', valueFrom: { configMapKeyRef: { name: 'none', key: 'k', optional: true } } },
          { name: 'B', valueFrom: { secretKeyRef: { name: 'sec', key: 'none', optional: true } } },
        ],
      },
      {},
    ],
    ['what is not, may not', { envFrom: [{ configMapRef: { name: 'none' } }] }, 'configmap "none" not found'],
    [
      'nor may a Secret',
      { env: [{ name: 'A', valueFrom: { secretKeyRef: { name: 'none', key: 'k' } } }] },
      'secret "none" not found',
    ],
    [
      'nor may a key',
      { env: [{ name: 'A', valueFrom: { configMapKeyRef: { name: 'cfg', key: 'none' } } }] },
      "couldn't find key none in ConfigMap team/cfg",
    ],
    [
      'fields and resources',
      {
        resources: { limits: { memory: '1Gi' }, requests: { cpu: '250m' } },
        env: [
          { name: 'IP', valueFrom: { fieldRef: { fieldPath: 'status.podIP' } } },
          { name: 'MEM', valueFrom: { resourceFieldRef: { resource: 'limits.memory', divisor: '1Mi' } } },
          { name: 'CPU', valueFrom: { resourceFieldRef: { resource: 'requests.cpu', divisor: '1m' } } },
          { name: 'LIMIT', valueFrom: { resourceFieldRef: { resource: 'limits.cpu' } } },
        ],
      },
      { IP: '10.1.0.2', MEM: '1024', CPU: '250', LIMIT: '2' },
    ],
  ])('%s', async (_name, container, expected) => {
    const found = environment(container)
    if (typeof expected === 'string') await expect(found).rejects.toThrow(expected)
    else expect(await found).toEqual(expected)
  })

  test('what is taken over from objects counts as well, however often', async () => {
    const data = Object.fromEntries(Array.from({ length: 1_000 }, (_, index) => [`k${index}`, 'x'.repeat(1_000)]))
    const large = { ...cfg, data }
    const secret = { ...sec, data: { all: Buffer.from('x'.repeat(1_000_000)).toString('base64') } }
    const found = (envFrom: EnvFromSource[]) =>
      containerEnvironment(
        aPod(),
        { name: 'main', envFrom, env: [{ name: 'OWN', value: 'x'.repeat(50_000) }] },
        { sources: { ...sources, configMap: async () => large, secret: async () => secret }, place },
      )
    const [one, other] = [{ prefix: 'A_', configMapRef: { name: 'large' } }, { secretRef: { name: 'large' } }]
    expect((await found([one])).get('A_k999')).toHaveLength(1_000)
    expect((await found([one, other])).get('all')).toHaveLength(1_000_000)
    const tooLarge = 'the environment is larger than 2097152 characters'
    await expect(found([one, other, { configMapRef: { name: 'large' } }])).rejects.toThrow(tooLarge)
    await expect(found([other, other, other])).rejects.toThrow(tooLarge)
  })

  test('what Services say counts as well', async () => {
    const found = (count: number, value = '') => {
      const all = Array.from({ length: count }, (_, index) => service(`service-${index}`, '10.2.0.9', [{ port: 80 }]))
      const from = { ...sources, services: () => all }
      return containerEnvironment(aPod(), { name: 'main', env: [{ name: 'OWN', value }] }, { sources: from, place })
    }
    expect((await found(5_000)).get('SERVICE_4999_PORT_80_TCP_PORT')).toBe('80')
    const tooLarge = 'the environment is larger than 2097152 characters'
    await expect(found(5_000, 'x'.repeat(1_500_000))).rejects.toThrow(tooLarge)
    const remedy = 'enableServiceLinks: false keeps the variables of Services out of it'
    await expect(found(20_000)).rejects.toThrow(`${tooLarge}: ${remedy}`)
  })

  test('of an object that is asked for one key no other is looked at', async () => {
    const data = {
      key: Buffer.from('mine').toString('base64'),
      get other(): string {
        throw new Error('was looked at')
      },
    }
    const from = { ...sources, configMap: async () => ({ ...cfg, data }), secret: async () => ({ ...sec, data }) }
    const env = ['key', 'missing'].flatMap((key) => [
      { name: `C_${key}`, valueFrom: { configMapKeyRef: { key, optional: true } } },
      { name: `S_${key}`, valueFrom: { secretKeyRef: { key, optional: true } } },
    ])
    const found = await containerEnvironment(aPod(), { name: 'main', env }, { sources: from, place })
    expect([...found].filter(([name]) => !name.startsWith('KUBERNETES_'))).toEqual([
      ['C_key', data.key],
      ['S_key', 'mine'],
    ])
  })

  test('Services of the namespace and the cluster are there, and what the Pod states wins', async () => {
    expect(await environment({ env: [{ name: 'MY_DB_PORT', value: 'mine' }] }, { links: true })).toEqual({
      KUBERNETES_SERVICE_HOST: '10.2.0.1',
      KUBERNETES_SERVICE_PORT: '443',
      KUBERNETES_SERVICE_PORT_HTTPS: '443',
      KUBERNETES_PORT: 'tcp://10.2.0.1:443',
      KUBERNETES_PORT_443_TCP: 'tcp://10.2.0.1:443',
      KUBERNETES_PORT_443_TCP_ADDR: '10.2.0.1',
      KUBERNETES_PORT_443_TCP_PORT: '443',
      KUBERNETES_PORT_443_TCP_PROTO: 'tcp',
      MY_DB_SERVICE_HOST: '10.2.0.9',
      MY_DB_SERVICE_PORT: '5432',
      MY_DB_PORT: 'mine',
      MY_DB_PORT_5432_TCP: 'tcp://10.2.0.9:5432',
      MY_DB_PORT_5432_TCP_ADDR: '10.2.0.9',
      MY_DB_PORT_5432_TCP_PORT: '5432',
      MY_DB_PORT_5432_TCP_PROTO: 'tcp',
    })
  })
})

describe('the downward API', () => {
  const pod = aPod({ spec: { serviceAccountName: 'robot' } })
  pod.metadata.labels = { b: 'two "quoted"\n', a: 'one\u0007' }
  pod.metadata.annotations = { 'example.com/key': 'value' }

  test.each([
    ['metadata.name', 'web'],
    ['metadata.uid', 'uid-1'],
    ['metadata.labels', 'a="one\\a"\nb="two \\"quoted\\"\\n"'],
    ["metadata.labels['a']", 'one\u0007'],
    ["metadata.annotations['example.com/key']", 'value'],
    ["metadata.annotations['constructor']", ''],
    ['spec.nodeName', 'node'],
    ['spec.serviceAccountName', 'robot'],
    ['status.hostIP', '192.0.2.1'],
  ])('%s', (fieldPath, expected) => {
    expect(fieldValue(pod, { fieldPath }, place)).toBe(expected)
  })

  test('other fields and resources are refused', () => {
    expect(() => fieldValue(pod, { fieldPath: 'spec.containers' }, place)).toThrow(
      'unsupported fieldPath: spec.containers',
    )
    expect(() => resourceValue(pod, { resource: 'limits.gpu', containerName: 'main' }, { place })).toThrow(
      'unsupported container resource : limits.gpu',
    )
  })
})

describe('capabilities', () => {
  test.each<[Parameters<typeof capabilities>[0], string]>([
    [
      {},
      'AUDIT_WRITE CHOWN DAC_OVERRIDE FOWNER FSETID KILL MKNOD NET_BIND_SERVICE NET_RAW SETFCAP SETGID SETPCAP SETUID SYS_CHROOT',
    ],
    [{ drop: ['ALL'] }, ''],
    [{ drop: ['all'], add: ['NET_BIND_SERVICE', 'cap_chown'] }, 'CHOWN NET_BIND_SERVICE'],
    [
      { add: ['SYS_ADMIN'], drop: ['NET_RAW', 'MKNOD'] },
      'AUDIT_WRITE CHOWN DAC_OVERRIDE FOWNER FSETID KILL NET_BIND_SERVICE SETFCAP SETGID SETPCAP SETUID SYS_ADMIN SYS_CHROOT',
    ],
  ])('%j', (given, expected) => {
    expect(capabilities(given)).toEqual(expected === '' ? [] : expected.split(' ').map((name) => `CAP_${name}`))
  })

  test('ALL is all that Linux knows', () => {
    expect(capabilities({ add: ['ALL'] })).toHaveLength(41)
    expect(capabilities({ add: ['ALL'], drop: ['SYS_ADMIN'] })).not.toContain('CAP_SYS_ADMIN')
  })
})

describe('containerSecurity', () => {
  const images = {
    resolveUser: async (_image: object, user: string) =>
      user === 'app'
        ? { uid: 1000, gid: 1001, additionalGids: [7] }
        : { uid: Number(user.split(':')[0]) || 0, gid: 50, additionalGids: [8] },
  }
  const security = (user: string, container: Partial<Container>, spec: object = {}) =>
    containerSecurity(
      aPod({ spec }),
      { name: 'main', ...container },
      {
        image: {
          name: 'i',
          id: '',
          sizeBytes: 0,
          entrypoint: [],
          cmd: [],
          env: {},
          workingDir: '',
          user,
          createdAt: 0,
          repoDigests: [],
          grant: 'everyone',
        },
        images,
      },
    )

  test.each<[name: string, user: string, container: Partial<Container>, spec: object, expected: unknown]>([
    ["the image's user", 'app', {}, {}, { uid: 1000, gid: 1001, additionalGids: [7, 1001] }],
    [
      "the Pod's user over it",
      'app',
      {},
      { securityContext: { runAsUser: 5 } },
      { uid: 5, gid: 50, additionalGids: [8, 50] },
    ],
    [
      "the container's over that",
      'app',
      { securityContext: { runAsUser: 6, runAsGroup: 9 } },
      { securityContext: { runAsUser: 5, fsGroup: 2000, supplementalGroups: [3000, 8] } },
      { uid: 6, gid: 9, additionalGids: [8, 9, 2000, 3000] },
    ],
    [
      'without the groups of the image where they are not wanted',
      'app',
      {},
      { securityContext: { supplementalGroupsPolicy: 'Strict', supplementalGroups: [1] } },
      { uid: 1000, gid: 1001, additionalGids: [1, 1001] },
    ],
  ])('%s', async (_name, user, container, spec, expected) => {
    expect((await security(user, container, spec)).user).toEqual(expected)
  })

  const nonRoot = { securityContext: { runAsNonRoot: true } }
  test.each<[user: string, container: Partial<Container>, expected: string | undefined]>([
    ['', {}, 'container has runAsNonRoot and image will run as root (pod: "web_default(uid-1)", container: main)'],
    ['0', {}, 'container has runAsNonRoot and image will run as root (pod: "web_default(uid-1)", container: main)'],
    ['00:5', {}, 'container has runAsNonRoot and image will run as root (pod: "web_default(uid-1)", container: main)'],
    [
      'app',
      {},
      'container has runAsNonRoot and image has non-numeric user (app), cannot verify user is non-root (pod: "web_default(uid-1)", container: main)',
    ],
    [
      '0',
      { securityContext: { runAsUser: 0 } },
      `container's runAsUser breaks non-root policy (pod: "web_default(uid-1)", container: main)`,
    ],
    ['0', { securityContext: { runAsUser: 1 } }, undefined],
    ['1000', {}, undefined],
    ['0', { securityContext: { runAsNonRoot: false } }, undefined],
  ])('runAsNonRoot with an image of user %j and %j', async (user, container, expected) => {
    const found = security(user, container, nonRoot)
    if (expected === undefined) expect(await found).toBeDefined()
    else await expect(found).rejects.toThrow(expected)
  })
  const missing = (what: string): string =>
    `container "main" asks for the ${what} profile "mine", and this node has none of its own: use RuntimeDefault`
  const asks = (field: string, type: string): object => ({
    securityContext: { [field]: { type, ...(type === 'Localhost' && { localhostProfile: 'mine' }) } },
  })
  test.each<[container: Partial<Container>, spec: object, expected: string | undefined]>([
    [asks('seccompProfile', 'Localhost'), {}, missing('seccomp')],
    [{}, asks('seccompProfile', 'Localhost'), missing('seccomp')],
    [asks('seccompProfile', 'RuntimeDefault'), asks('seccompProfile', 'Localhost'), undefined],
    [asks('appArmorProfile', 'Localhost'), {}, missing('AppArmor')],
    [{}, asks('appArmorProfile', 'Localhost'), missing('AppArmor')],
    [asks('seccompProfile', 'Unconfined'), asks('appArmorProfile', 'RuntimeDefault'), undefined],
  ])('a container with %j in a Pod with %j gets no other profile instead', async (container, spec, expected) => {
    const found = security('0', container, spec)
    if (expected === undefined) expect(await found).toBeDefined()
    else await expect(found).rejects.toMatchObject({ code: 'profile-not-found', message: expected })
  })
})

describe('files of /etc', () => {
  test('hosts', () => {
    const pod = aPod({
      spec: { hostname: 'box', subdomain: 'sub', hostAliases: [{ ip: '1.2.3.4', hostnames: ['a', 'b'] }] },
    })
    expect(hostsFile(pod, { podIp: '10.1.0.2', clusterDomain: 'cluster.local' })).toBe(`# Kubernetes-managed hosts file.
127.0.0.1\tlocalhost
::1\tlocalhost ip6-localhost ip6-loopback
fe00::0\tip6-localnet
fe00::0\tip6-mcastprefix
fe00::1\tip6-allnodes
fe00::2\tip6-allrouters
10.1.0.2\tbox.sub.default.svc.cluster.local\tbox

# Entries added by HostAliases.
1.2.3.4\ta\tb
`)
  })

  test('a host name has at most 63 characters and ends well', () => {
    const pod = aPod()
    pod.metadata.name = `${'a'.repeat(62)}-bcd`
    expect(podHostname(pod)).toBe('a'.repeat(62))
  })

  const hostConfig = '# made by hand\nnameserver 192.0.2.53\nsearch example.org\noptions edns0\n'
  const dns = { clusterDomain: 'cluster.local', clusterServers: ['10.2.0.10'], hostConfig }
  test.each<[name: string, spec: object, servers: string[], expected: string]>([
    [
      'within the cluster',
      {},
      ['10.2.0.10'],
      'search default.svc.cluster.local svc.cluster.local cluster.local example.org\nnameserver 10.2.0.10\noptions ndots:5\n',
    ],
    ['where the cluster has no name servers', {}, [], 'search example.org\nnameserver 192.0.2.53\noptions edns0\n'],
    ['Default', { dnsPolicy: 'Default' }, ['10.2.0.10'], 'search example.org\nnameserver 192.0.2.53\noptions edns0\n'],
    ['None', { dnsPolicy: 'None' }, ['10.2.0.10'], ''],
    [
      'None, with an own configuration',
      {
        dnsPolicy: 'None',
        dnsConfig: {
          nameservers: ['1.1.1.1'],
          searches: ['x'],
          options: [{ name: 'ndots', value: '2' }, { name: 'edns0' }],
        },
      },
      [],
      'search x\nnameserver 1.1.1.1\noptions ndots:2 edns0\n',
    ],
    [
      'own options over those of the cluster',
      { dnsConfig: { options: [{ name: 'ndots', value: '1' }] } },
      ['10.2.0.10'],
      'search default.svc.cluster.local svc.cluster.local cluster.local example.org\nnameserver 10.2.0.10\noptions ndots:1\n',
    ],
  ])('resolv.conf: %s', (_name, spec, clusterServers, expected) => {
    expect(resolverFile(aPod({ spec }), { ...dns, clusterServers })).toBe(expected)
  })
})
