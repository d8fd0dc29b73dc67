/** What the administrator of one namespace, who has every right to what is ours in it too, does not get; each beside who does. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Cluster, type Outcome, startCluster } from '../e2e/fixture.ts'
import { apply, pod } from './attackers.ts'
import { expectRefused } from './controlled.ts'

let cluster: Cluster
beforeAll(async () => {
  cluster = await startCluster()
  for (const namespace of ['team', 'other', 'open']) await cluster.mustKubectl(['create', 'namespace', namespace])
  await cluster.mustKubectl(['label', 'namespace', 'open', 'pod-security.kubernetes.io/enforce=privileged'])
  await apply(
    cluster,
    { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'dev', namespace: 'team' } },
    {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'Role',
      metadata: { name: 'ours', namespace: 'team' },
      rules: [
        { apiGroups: ['caisson.dev', 'agents.x-k8s.io'], resources: ['*'], verbs: ['*'] },
        { apiGroups: [''], resources: ['pods/ephemeralcontainers'], verbs: ['*'] },
      ],
    },
    binding('Role', 'ours'),
    binding('ClusterRole', 'admin'),
    sandbox('other', 'victim'),
    sandbox('team', 'own'),
  )
  await writeTenantKubeconfig()
  for (const namespace of ['team', 'other'])
    await cluster.mustKubectl(['-n', namespace, 'wait', '--for=condition=Ready', 'sandbox', '--all', '--timeout=60s'])
})
afterAll(() => cluster[Symbol.asyncDispose]())

const administrator = (args: string[], object?: object): Promise<Outcome> =>
  cluster.kubectl(args, object ? { input: JSON.stringify(object) } : {})

/** With a kubeconfig of its own, that holds a token and nothing of the administrator's. */
const tenant = (args: string[], object?: object): Promise<Outcome> =>
  cluster.kubectl(args, {
    env: { KUBECONFIG: join(cluster.dataDirectory, 'tenant') },
    ...(object && { input: JSON.stringify(object) }),
  })

async function writeTenantKubeconfig(): Promise<void> {
  const config = JSON.parse(await cluster.mustKubectl(['config', 'view', '--raw', '-o', 'json'])) as {
    users: Array<{ user: object }>
  }
  const token = await cluster.mustKubectl(['-n', 'team', 'create', 'token', 'dev'])
  for (const each of config.users) each.user = { token: token.trim() }
  writeFileSync(join(cluster.dataDirectory, 'tenant'), JSON.stringify(config), { mode: 0o600 })
}

function binding(kind: 'Role' | 'ClusterRole', name: string): object {
  return {
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'RoleBinding',
    metadata: { name, namespace: 'team' },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind, name },
    subjects: [{ kind: 'ServiceAccount', name: 'dev', namespace: 'team' }],
  }
}

function sandbox(namespace: string, name: string): object {
  const { spec } = pod(namespace, name) as { spec: object }
  return {
    apiVersion: 'agents.x-k8s.io/v1beta1',
    kind: 'Sandbox',
    metadata: { name, namespace },
    spec: { podTemplate: { spec } },
  }
}

const raw = (path: string): string[] => ['get', '--raw', path]
const inNamespace = (namespace: string, rest: string): string => `/api/v1/namespaces/${namespace}/${rest}`

test('a namespace that enforces restricted runs no Pod that says it is for another system', async () => {
  await cluster.mustKubectl(['create', 'namespace', 'strict'])
  await cluster.mustKubectl(['label', 'namespace', 'strict', 'pod-security.kubernetes.io/enforce=restricted'])
  const create = (os: string): Promise<Outcome> =>
    administrator(
      ['create', '-f', '-'],
      pod('strict', os, { spec: { os: { name: os }, securityContext: { runAsNonRoot: true } } }),
    )
  expect((await create('linux')).stderr).toContain('violates PodSecurity')
  expect(await create('windows')).toMatchObject({ code: 0 })
  const said = ['-n', 'strict', 'get', 'pod', 'windows', '-o', 'jsonpath={.status.phase} {.status.reason}']
  await expect.poll(() => cluster.mustKubectl(said), { timeout: 30_000 }).toBe('Failed PodOSNotSupported')
})

describe('another namespace', () => {
  test.each<[string, (namespace: string, name: string) => string[]]>([
    ['run something in a Pod of', (namespace, name) => ['-n', namespace, 'exec', name, '--', 'true']],
    ['read the log of a Pod of', (namespace, name) => ['-n', namespace, 'logs', name]],
    ['read the Pods of', (namespace) => raw(inNamespace(namespace, 'pods'))],
    ['read the secrets of', (namespace) => raw(inNamespace(namespace, 'secrets'))],
    ['read the sandboxes of', (namespace) => ['-n', namespace, 'get', 'sandboxes']],
    ['read the snapshots of', (namespace) => ['-n', namespace, 'get', 'sandboxsnapshots']],
    ['watch the Pods of', (namespace) => raw(`${inNamespace(namespace, 'pods')}?watch=1&timeoutSeconds=1`)],
    ['ask for a token of', (namespace) => ['-n', namespace, 'create', 'token', 'default']],
    ['ask how much is used by', (namespace) => ['-n', namespace, 'top', 'pod']],
    ['delete a Pod of', (namespace, name) => ['-n', namespace, 'delete', 'pod', name, '--dry-run=server']],
    [
      'name a Pod in a query of',
      (namespace, name) => raw(`${inNamespace(namespace, 'pods')}?fieldSelector=metadata.name=${name}`),
    ],
  ])('lets a tenant not %s it', async (probe, args) => {
    const control = await tenant(args('team', 'own'))
    const attack = await tenant(args('other', 'victim'))
    expectRefused({ probe, control: control.code === 0, attack: attack.code === 0 })
  })

  test('does not lend its memory to a snapshot whose status names its Pod', async () => {
    const uid = await cluster.mustKubectl(['-n', 'other', 'get', 'pod', 'victim', '-o', 'jsonpath={.metadata.uid}'])
    const node = await cluster.mustKubectl(['get', 'node', '-o', 'jsonpath={.items[0].metadata.name}'])
    const snapshot = (sandboxName: string): object => ({
      apiVersion: 'caisson.dev/v1alpha1',
      kind: 'SandboxSnapshot',
      metadata: { name: `of-${sandboxName}`, namespace: 'team' },
      spec: { sandboxName },
    })
    const reason = async (name: string): Promise<string> => {
      const path = 'jsonpath={.status.podUID} {.status.conditions[0].reason}'
      return await cluster.mustKubectl(['-n', 'team', 'get', 'sandboxsnapshot', name, '-o', path])
    }
    for (const name of ['own', 'victim']) expect((await tenant(['create', '-f', '-'], snapshot(name))).code).toBe(0)
    // There is no such Sandbox in this namespace, so the controller has nothing more to say.
    await expect.poll(() => reason('of-victim'), { timeout: 30_000 }).toBe(' SandboxNotFound')
    const forged = JSON.stringify({ status: { nodeName: node, podUID: uid, conditions: [] } })
    const patch = ['patch', 'sandboxsnapshot', 'of-victim', '--subresource=status', '--type=merge', '-p', forged]
    expect((await tenant(['-n', 'team', ...patch])).code).toBe(0)
    await expect.poll(() => reason('of-victim'), { timeout: 30_000 }).toMatch(new RegExp(`^${uid} \\w`))
    await expect.poll(() => reason('of-own'), { timeout: 30_000 }).toMatch(/ (?!Taking)\w/)
    expectRefused({
      probe: 'a snapshot of another namespace',
      control: (await reason('of-own')).endsWith(' Taken'),
      attack: (await reason('of-victim')) !== `${uid} SandboxGone`,
    })
  })

  test('has no snapshot that a Pod or a Sandbox of elsewhere begins with', async () => {
    await apply(cluster, {
      apiVersion: 'caisson.dev/v1alpha1',
      kind: 'SandboxSnapshot',
      metadata: { name: 'kept', namespace: 'other' },
      spec: { sandboxName: 'victim' },
    })
    await cluster.mustKubectl(['-n', 'other', 'wait', '--for=condition=Ready', 'sandboxsnapshot/kept', '--timeout=60s'])
    const begin = (namespace: string, name: string): object => ({
      ...pod(namespace, name),
      metadata: { name, namespace, annotations: { 'caisson.dev/snapshot': 'kept' } },
    })
    await apply(cluster, begin('other', 'copy'), begin('team', 'copy'), {
      ...pod('team', 'path'),
      metadata: { name: 'path', namespace: 'team', annotations: { 'caisson.dev/snapshot': '../other/kept' } },
    })
    await cluster.mustKubectl(['-n', 'other', 'wait', '--for=condition=Ready', 'pod/copy', '--timeout=60s'])
    for (const name of ['copy', 'path'])
      await cluster.mustKubectl([
        '-n',
        'team',
        'wait',
        `pod/${name}`,
        '--timeout=30s',
        '--for=jsonpath={.status.containerStatuses[0].state.waiting.reason}=CreateContainerConfigError',
      ])
  })
})

describe('the node', () => {
  const host = (path: string, type?: string): object => ({ volumes: [{ name: 'h', hostPath: { path, type } }] })
  const main = (security: object, more: object = {}): object => ({
    containers: [{ name: 'main', image: 'caisson.dev/host', securityContext: security, ...more }],
  })
  test.each<[string, object]>([
    ['hostPath', host('/')],
    ['hostPath by another spelling', host('//')],
    ['hostPath of a socket', host('/run/docker.sock', 'Socket')],
    ['hostPID', { hostPID: true }],
    ['hostIPC', { hostIPC: true }],
    ['hostNetwork', { hostNetwork: true }],
    ['hostPort', main({}, { ports: [{ containerPort: 80, hostPort: 80 }] })],
    ['privileged', main({ privileged: true })],
    ['SYS_PTRACE', main({ capabilities: { add: ['SYS_PTRACE'] } })],
    ['ALL capabilities', main({ capabilities: { add: ['ALL'] } })],
    ['an unconfined seccomp profile', main({ seccompProfile: { type: 'Unconfined' } })],
    ['sysctls', { securityContext: { sysctls: [{ name: 'kernel.msgmax', value: '1' }] } }],
    [
      'a privileged init container',
      { initContainers: [{ name: 'i', image: 'caisson.dev/host', securityContext: { privileged: true } }] },
    ],
  ])('gives a tenant no Pod with %s', async (probe, spec) => {
    const create = (namespace: string): [string[], object] => [
      ['create', '--dry-run=server', '-f', '-'],
      pod(namespace, 'asked', { spec }),
    ]
    const control = await administrator(...create('open'))
    const attack = await tenant(...create('team'))
    expectRefused({
      probe,
      control: control.code === 0,
      attack: attack.code === 0,
    })
  })

  test('gives no right to a container that is added to a Pod', async () => {
    const add = async (securityContext: object): Promise<Outcome> => {
      const got = await tenant(['-n', 'team', 'get', 'pod', 'own', '-o', 'json'])
      const running = JSON.parse(got.stdout) as { spec: { ephemeralContainers?: object[] } }
      const { ephemeralContainers = [] } = running.spec
      const name = `added-${ephemeralContainers.length}`
      running.spec.ephemeralContainers = [...ephemeralContainers, { name, image: 'caisson.dev/host', securityContext }]
      return await tenant(['replace', '--raw', inNamespace('team', 'pods/own/ephemeralcontainers'), '-f', '-'], running)
    }
    const [control, attack] = [await add({}), await add({ privileged: true })]
    expectRefused({ probe: 'a privileged container', control: control.code === 0, attack: attack.code === 0 })
  })

  test.each<[string, string[]]>([
    [
      'label the namespace otherwise',
      ['label', '--overwrite', 'namespace', 'team', 'pod-security.kubernetes.io/enforce=privileged'],
    ],
    ['become an administrator', ['--as=system:admin', '--as-group=system:masters', 'get', 'nodes']],
    ['write nodes', ['label', '--overwrite', 'node', '--all', 'x=y']],
    ['write volumes of the cluster', ['delete', 'persistentvolume', '--all']],
    ['write RuntimeClasses', ['label', '--overwrite', 'runtimeclass', '--all', 'x=y']],
    ['read what the daemon tells of itself', ['get', '--raw', '/metrics']],
  ])('lets a tenant not %s', async (probe, args) => {
    const dry = (['label', 'delete'] as string[]).includes(args[0] ?? '') ? [...args, '--dry-run=server'] : args
    const control = await administrator(dry)
    const attack = await tenant(dry)
    expectRefused({ probe, control: control.code === 0, attack: attack.code === 0 })
  })
})
