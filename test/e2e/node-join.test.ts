/** This machine as a node of a real control plane: what runs there, who may ask it for what, and what it leaves. */
import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { type RequestOptions, request } from 'node:https'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { CONTROLLER_NAMESPACE } from '../../packages/api/src/index.ts'
import { readDaemonRecord } from '../../packages/cli/src/cluster/daemon-record.ts'
import { dataDirectory } from '../../packages/cli/src/cluster/data-directory.ts'
import { readJoinedNode } from '../../packages/cli/src/node/joined-node.ts'
import { nodeConnection } from '../../packages/cli/src/node/node-identity.ts'
import {
  createClient,
  createHttpTransport,
  resources,
  sandboxClaims,
  sandboxes,
} from '../../packages/client/src/index.ts'
import { until } from '../../packages/controllers/src/testing/test-cluster.ts'
import { keepCertificates } from '../../packages/kubelet/src/index.ts'
import { controlPlaneVersion, hasGo } from '../cluster/build-control-plane.ts'
import { writeKubeconfig } from '../cluster/real-cluster.ts'
import { startController } from './controller-process.ts'
import { findKubectl } from './fixture.ts'
import { forwardPort } from './forward-port.ts'
import { leftovers } from './leftovers.ts'
import { startMetricsServer } from './metrics-server.ts'
import { type NodeCluster, startNodeCluster } from './node-cluster.ts'

const ROOT = join(import.meta.dirname, '../..')
const NAME = 'sandbox-node'
const HOUR = 3_600_000
const SERVER_HTML = 'mkdir -p /www && echo served > /www/index.html && echo started && exec httpd -f -p 8080 -h /www'

describe.runIf(hasGo() && findKubectl())('a node of a real cluster', () => {
  const joinWords = ['node', 'join', '--name', NAME, '--port', '0', '--detach']
  let cluster: NodeCluster
  const ends = new AsyncDisposableStack()
  beforeAll(async () => {
    cluster = ends.use(await startNodeCluster(NAME))
  })
  afterAll(() => ends.disposeAsync())

  test('what is missing is said before the cluster hears of it', async () => {
    const joined = async (more: string[], variables: Record<string, string> = {}): Promise<[number | null, string]> => {
      const { code, stderr } = await cluster.caisson([...joinWords, ...more], { env: variables })
      return [code, stderr]
    }
    const nowhere = writeKubeconfig(cluster.plane, 'nowhere', { server: 'https://127.0.0.1:1' })
    const nobody = writeKubeconfig(cluster.plane, 'nobody', { as: 'nobody' })
    expect(await joined(['--kubeconfig', nowhere])).toEqual([
      69,
      expect.stringContaining('the cluster at https://127.0.0.1:1 does not answer: '),
    ])
    expect(await joined(['--kubeconfig', nobody])).toEqual([
      77,
      expect.stringContaining(
        'a node is joined with the rights of a cluster\'s administrator, and you lack one: nodes "sandbox-node" is forbidden: User "nobody" cannot get resource "nodes"',
      ),
    ])
    const empty = mkdtempSync(join(cluster.work, 'no-tools-'))
    expect(await joined([], { CAISSON_TOOLS_DIR: empty, PATH: pathWithoutRunsc() })).toEqual([
      69,
      "caisson: gVisor is not there, which sandboxes run in: 'caisson doctor --fix' fetches it, without touching the system\n",
    ])
    expect(await joined(['--taints', 'gvisor'])).toEqual([
      64,
      'caisson: --taints takes taints such as gvisor=only:NoSchedule (NoSchedule, PreferNoSchedule, NoExecute), not "gvisor"\n',
    ])
    expect((await cluster.client.list(resources.nodes)).items).toEqual([])
    expect((await cluster.client.list(resources.certificateSigningRequests)).items).toEqual([])
  })

  test('joins, and is Ready with what it was given', async () => {
    await cluster.mustCaisson([
      ...joinWords,
      '--labels',
      'tier=sandboxes',
      '--taints',
      'sandboxes=only:PreferNoSchedule',
    ])
    const { metadata, spec, status } = await until(
      cluster.client,
      resources.nodes,
      { name: NAME },
      (object) => object?.spec?.podCIDR !== undefined,
    )
    expect(metadata.labels).toEqual({
      'beta.kubernetes.io/arch': status?.nodeInfo?.architecture,
      'beta.kubernetes.io/os': 'linux',
      'gvisor.enabled': 'true',
      'kubernetes.io/arch': status?.nodeInfo?.architecture,
      'kubernetes.io/hostname': NAME,
      'kubernetes.io/os': 'linux',
      tier: 'sandboxes',
    })
    expect(spec?.taints?.filter(({ key }) => !key.startsWith('node.kubernetes.io/'))).toEqual([
      { key: 'sandboxes', value: 'only', effect: 'PreferNoSchedule' },
    ])
    expect(status?.conditions?.map(({ type, status: is }) => `${type} ${is}`)).toEqual([
      'MemoryPressure False',
      'DiskPressure False',
      'PIDPressure False',
      'Ready True',
    ])
    expect(status?.daemonEndpoints?.kubeletEndpoint?.Port).toBeGreaterThan(0)
    const lease = await cluster.client.get(resources.leases, NAME, { namespace: 'kube-node-lease' })
    expect(lease.spec).toMatchObject({ holderIdentity: NAME, leaseDurationSeconds: 40 })
    expect(lease.metadata.ownerReferences).toEqual([{ apiVersion: 'v1', kind: 'Node', name: NAME, uid: metadata.uid }])
    for (const file of ['client.pem', 'serving.pem'])
      expect((statSync(join(cluster.data, 'credentials', file)).mode & 0o777).toString(8)).toBe('600')
  })

  test('kubectl run, logs, exec, cp, port-forward and debug work as on any node, under gVisor', async () => {
    await cluster.runPod('web', SERVER_HTML, ['--port', '8080'])
    await cluster.ready('web')
    const { spec, status } = await cluster.podUntil('web', Boolean)
    expect(spec?.nodeName).toBe(NAME)
    const { podCIDR = '' } = (await cluster.node()).spec ?? {}
    expect(status?.podIP?.split('.').slice(0, 3)).toEqual(podCIDR.split('.').slice(0, 3))
    expect(await cluster.mustKubectl(['logs', 'web'])).toBe('started\n')
    expect(await cluster.mustKubectl(['exec', 'web', '--', 'dmesg'])).toContain('Starting gVisor')
    expect(
      await cluster.kubectl(['exec', '-i', 'web', '--', 'sh', '-c', 'cat; exit 3'], { input: 'echoed' }),
    ).toMatchObject({
      code: 3,
      stdout: 'echoed',
    })
    const file = join(cluster.work, 'copied')
    writeFileSync(file, 'content\n')
    await cluster.mustKubectl(['cp', file, 'web:/copied'])
    await cluster.mustKubectl(['cp', 'web:/copied', `${file}.back`])
    expect(readFileSync(`${file}.back`, 'utf8')).toBe('content\n')
    const look = ['--image=busybox', '--image-pull-policy=Never', '-c', 'look']
    await cluster.mustKubectl(['debug', 'web', ...look, '--', 'sh', '-c', 'id -u'])
    await cluster.podUntil('web', (pod) =>
      Boolean(pod?.status?.ephemeralContainerStatuses?.some(({ state }) => state?.terminated)),
    )
    expect(await cluster.mustKubectl(['logs', 'web', '-c', 'look'])).toBe('0\n')
    await using forwarded = await forwardPort(['port-forward', 'pod/web', ':8080'], cluster.env)
    for (const _ of [1, 2]) expect(await (await fetch(forwarded.url)).text()).toBe('served\n')
  })

  test('the node’s API is for whom the cluster names and allows', async () => {
    const { status } = await cluster.node()
    const host = await cluster.address()
    const port = status?.daemonEndpoints?.kubeletEndpoint?.Port ?? 0
    const ask = (path: string, more: RequestOptions = {}): Promise<number | undefined> =>
      new Promise((resolve, reject) => {
        const asked = request({ host, port, path, rejectUnauthorized: false, agent: false, ...more }, (answer) => {
          answer.resume()
          resolve(answer.statusCode)
        })
        asked.on('error', reject).end()
      })
    const bearer = (token: string): RequestOptions => ({ headers: { authorization: `Bearer ${token.trim()}` } })
    const account = bearer(await cluster.mustKubectl(['create', 'token', 'default']))
    const own = readFileSync(join(cluster.data, 'credentials', 'client.pem'))
    for (const path of ['/stats/summary', '/pods', '/exec/default/web/web?command=id&output=1']) {
      expect([path, await ask(path)]).toEqual([path, 401])
      expect([path, await ask(path, bearer('no.such.token'))]).toEqual([path, 401])
      expect([path, await ask(path, account)]).toEqual([path, 403])
      // Nodes may not ask each other.
      expect([path, await ask(path, { cert: own, key: own })]).toEqual([path, 403])
    }
    for (const path of ['/stats/summary', '/pods', '/metrics/resource', '/healthz'])
      expect([path, await ask(path, bearer(cluster.plane.token))]).toEqual([path, 200])
    expect(await cluster.mustKubectl(['get', '--raw', `/api/v1/nodes/${NAME}/proxy/stats/summary`])).toContain(
      '"name":"web"',
    )
  })

  test('the node may read what its Pods refer to, and no other Secret', async () => {
    for (const name of ['used', 'unused'])
      await cluster.mustKubectl(['create', 'secret', 'generic', name, '--from-literal=key=value'])
    const from = [{ secretRef: { name: 'used' } }]
    const containers = [{ name: 'reader', image: 'busybox', imagePullPolicy: 'Never', envFrom: from }]
    await cluster.runPod('reader', 'echo $key', [
      `--overrides=${JSON.stringify({ spec: { containers } })}`,
      '--override-type=strategic',
    ])
    await cluster.podUntil('reader', (pod) => pod?.status?.phase === 'Succeeded')
    expect(await cluster.mustKubectl(['logs', 'reader'])).toBe('value\n')
    const joined = readJoinedNode(dataDirectory(cluster.data))
    if (!joined) throw new Error('the node was not joined')
    await using transport = createHttpTransport(nodeConnection(dataDirectory(cluster.data), joined))
    const own = createClient(transport)
    const at = { namespace: 'default' }
    expect((await own.get(resources.secrets, 'used', at)).data).toEqual({ key: 'dmFsdWU=' })
    await expect(own.get(resources.secrets, 'unused', at)).rejects.toMatchObject({ code: 403 })
    await expect(own.list(resources.secrets, at)).rejects.toMatchObject({ code: 403 })
    await expect(own.get(resources.nodes, 'other')).rejects.toMatchObject({ code: 403 })
  })

  test('certificates are asked for anew, also when they are old: the node’s own the cluster gives, that of its API somebody approves', async () => {
    const directory = dataDirectory(cluster.data)
    const joined = readJoinedNode(directory)
    if (!joined) throw new Error('the node was not joined')
    await using transport = createHttpTransport(nodeConnection(directory, joined))
    const [clientFile, servingFile] = [
      join(cluster.work, 'renewed-client.pem'),
      join(cluster.work, 'renewed-serving.pem'),
    ]
    const requests = async (): Promise<string[]> => {
      const { items } = await cluster.client.list(resources.certificateSigningRequests)
      return items.map(({ metadata }) => metadata.generateName ?? '').sort()
    }
    const before = await requests()
    const errors: unknown[] = []
    /** As they are when `passed` ms more have passed. */
    const keep = (passed: number, onServing: () => void): AsyncDisposable =>
      keepCertificates({
        client: createClient(transport),
        nodeName: NAME,
        hosts: [NAME, joined.address],
        clientFile,
        servingFile,
        onServing,
        onWaiting: (name) => void cluster.kubectl(['certificate', 'approve', name]),
        signal: new AbortController().signal,
        now: () => Date.now() + passed,
        onError: (error) => errors.push(error),
      })
    const read = (file: string): X509Certificate => new X509Certificate(readFileSync(file))
    {
      const served = Promise.withResolvers<void>()
      await using _ = keep(0, served.resolve)
      await served.promise
      await expect.poll(() => existsSync(clientFile)).toBe(true)
    }
    for (const file of [clientFile, servingFile]) {
      const certificate = read(file)
      expect([certificate.subject, certificate.checkIP(joined.address)]).toEqual([
        `O=system:nodes\nCN=system:node:${NAME}`,
        file === servingFile ? joined.address : undefined,
      ])
    }
    const [client, serving] = [read(clientFile), read(servingFile)]
    const life = serving.validToDate.getTime() - serving.validFromDate.getTime()
    let early = 0
    await using _young = keep(0.6 * life, () => early++)
    let late = 0
    await using _old = keep(0.7 * life, () => late++)
    await expect.poll(() => late).toBe(1)
    await expect.poll(() => read(clientFile).serialNumber).not.toBe(client.serialNumber)
    expect(read(servingFile).serialNumber).not.toBe(serving.serialNumber)
    // What is old as soon as it was given is not asked for again and again.
    const asked = ['client', 'client', 'serving', 'serving'].map((each) => `caisson-${each}-${NAME}-`)
    expect(await requests()).toEqual([...before, ...asked].sort())
    expect([early, errors]).toEqual([0, []])
  })

  test('a Pod reaches Services and its API server, and neither this machine nor what a policy closes', async () => {
    await cluster.mustKubectl(['expose', 'pod', 'web', '--port', '80', '--target-port', '8080'])
    await cluster.runPod('client', 'exec sleep 1000')
    await cluster.ready('client')
    const { status } = await cluster.node()
    const host = await cluster.address()
    await using here = await serveHere(host)
    const fetched = async (url: string): Promise<string> => {
      const { stdout, stderr } = await cluster.kubectl(['exec', 'client', '--', 'wget', '-T', '5', '-qO-', url])
      return stdout || stderr.replaceAll(/\n.*/gs, '')
    }
    // The control: it answers, and there is nothing wrong with the Pod's network.
    expect(await (await fetch(here.url)).text()).toBe('of the machine')
    await expect.poll(() => fetched('http://web.default.svc.cluster.local/')).toBe('served\n')
    const script = `wget -T 5 -qO- --no-check-certificate --header "Authorization: Bearer $(cat /var/run/secrets/kubernetes.io/serviceaccount/token)" https://kubernetes.default.svc/version`
    expect(JSON.parse(await cluster.mustKubectl(['exec', 'client', '--', 'sh', '-c', script]))).toMatchObject({
      gitVersion: controlPlaneVersion(),
    })
    const port = status?.daemonEndpoints?.kubeletEndpoint?.Port
    for (const url of [here.url, `https://${host}:${port}/healthz`, 'http://169.254.169.254/'])
      expect([url, await fetched(url)]).toEqual([url, expect.stringContaining("can't connect to remote host")])
    const closed = {
      apiVersion: 'networking.k8s.io/v1',
      kind: 'NetworkPolicy',
      metadata: { name: 'closed' },
      spec: { podSelector: { matchLabels: { run: 'web' } }, policyTypes: ['Ingress'] },
    }
    await cluster.mustKubectl(['apply', '-f', '-'], { input: JSON.stringify(closed) })
    await expect.poll(() => fetched('http://web/')).toContain("can't connect to remote host")
    await cluster.mustKubectl(['delete', 'networkpolicy', 'closed'])
    await expect.poll(() => fetched('http://web/')).toBe('served\n')
  })

  test('a node that was killed goes on with its Pods, and needs no administrator for it, nor for an old certificate', async () => {
    const before = (await cluster.podUntil('web', Boolean)).status?.containerStatuses?.[0]
    process.kill(readDaemonRecord(dataDirectory(cluster.data))?.pid ?? 0, 'SIGKILL')
    // It is good for an hour more, of 25.
    const name = `system:node:${NAME}`
    const { certificate, key } = cluster.plane.issueClient({ name, groups: ['system:nodes'], validForMs: HOUR })
    const file = join(cluster.data, 'credentials', 'client.pem')
    writeFileSync(file, `${certificate.trimEnd()}\n${key}`)
    const outcome = await cluster.caisson(['node', 'join', '--detach'], { env: { KUBECONFIG: '/nonexistent' } })
    expect(outcome).toMatchObject({
      code: 0,
      stdout: expect.stringContaining(`running: node ${NAME} of ${cluster.plane.server}`),
    })
    expect(await cluster.mustKubectl(['exec', 'web', '--', 'cat', '/copied'])).toBe('content\n')
    expect((await cluster.podUntil('web', Boolean)).status?.containerStatuses?.[0]).toEqual(before)
    const validForMs = (): number => new X509Certificate(readFileSync(file)).validToDate.getTime() - Date.now()
    // As long as the cluster's authority, which is a day.
    await expect.poll(validForMs).toBeGreaterThan(20 * HOUR)
  })

  test('Sandboxes there sleep, wake and fork', async () => {
    const extensions = ['claims', 'templates', 'warmpools'].map((kind) => `extensions.agents.x-k8s.io_sandbox${kind}`)
    for (const file of ['agents.x-k8s.io_sandboxes', 'caisson.dev_sandboxsnapshots', ...extensions])
      await cluster.mustKubectl(['apply', '-f', join(ROOT, `deploy/crds/${file}.yaml`)])
    await cluster.mustKubectl(['create', 'namespace', CONTROLLER_NAMESPACE])
    const { kubeconfig } = cluster.plane
    const controller = startController({ name: 'controller', flags: ['--extensions'], kubeconfig })
    ends.defer(async () => {
      controller.child.kill('SIGKILL')
      await controller.ended
    })
    const script = 'i=0; while true; do i=$((i + 1)); echo $i > /tmp/next; mv /tmp/next /tmp/count; sleep 0.1; done'
    const containers = [{ name: 'main', image: 'busybox', imagePullPolicy: 'Never', command: ['sh', '-c', script] }]
    const sandbox = {
      apiVersion: 'agents.x-k8s.io/v1beta1',
      kind: 'Sandbox',
      metadata: { name: 'counter' },
      spec: { podTemplate: { spec: { containers } } },
    }
    await expect
      .poll(async () => (await cluster.kubectl(['apply', '-f', '-'], { input: JSON.stringify(sandbox) })).code)
      .toBe(0)
    await cluster.mustKubectl(['wait', '--for=condition=Ready', 'sandbox/counter', '--timeout=60s'])
    const count = async (name: string): Promise<number> =>
      Number(await cluster.mustKubectl(['exec', name, '--', 'cat', '/tmp/count']))
    await expect.poll(() => count('counter')).toBeGreaterThan(10)
    const [before, copy] = [await count('counter'), (await cluster.mustCaisson(['fork', 'counter'])).trim()]
    expect(await count(copy)).toBeGreaterThanOrEqual(before)
    await cluster.mustCaisson(['suspend', 'counter'])
    await cluster.podUntil('counter', (pod) => pod === undefined)
    const asleep = await count(copy)
    await cluster.mustCaisson(['resume', 'counter'])
    const awake = await count('counter')
    expect([awake >= before, asleep >= before]).toEqual([true, true])
    await cluster.mustKubectl(['delete', 'sandboxes', '--all', '--timeout=60s'])
  })

  test('a claim’s command runs in a member of a pool there, with its streams and its exit code', async () => {
    const containers = [{ name: 'main', image: 'busybox', imagePullPolicy: 'Never', command: ['sleep', '1000'] }]
    const [apiVersion, metadata] = ['extensions.agents.x-k8s.io/v1beta1', { name: 'there' }]
    const objects = [
      { apiVersion, kind: 'SandboxTemplate', metadata, spec: { podTemplate: { spec: { containers } } } },
      { apiVersion, kind: 'SandboxWarmPool', metadata, spec: { replicas: 1, sandboxTemplateRef: metadata } },
    ]
    const input = objects.map((object) => JSON.stringify(object)).join('\n---\n')
    await cluster.mustKubectl(['apply', '-f', '-'], { input })
    await cluster.mustKubectl([
      'wait',
      '--for=jsonpath={.status.readyReplicas}=1',
      'sandboxwarmpool/there',
      '--timeout=60s',
    ])
    const [member] = (await cluster.client.list(sandboxes, { namespace: 'default' })).items
    const command = [
      'run',
      '--context',
      'real',
      '--pool',
      'there',
      '-i',
      '--',
      'sh',
      '-c',
      'cat; hostname; echo no >&2; exit 3',
    ]
    const outcome = { code: 3, stdout: `in\n${member?.metadata.name}\n`, stderr: 'no\n' }
    expect(await cluster.caisson(command, { input: 'in\n' })).toEqual(outcome)
    expect((await cluster.client.list(sandboxClaims, { namespace: 'default' })).items).toEqual([])
    await cluster.mustKubectl(['delete', 'sandboxwarmpools,sandboxtemplates', '--all', '--timeout=60s'])
    await cluster.mustKubectl(['wait', '--for=delete', 'sandboxes', '--all', '--timeout=60s'])
  })

  test('taints, selectors and drain say which Pods are there', async () => {
    const wants = (spec: object): string[] => [`--overrides=${JSON.stringify({ spec })}`, '--override-type=strategic']
    await cluster.runPod('stays', 'exec sleep 1000', wants({ tolerations: [{ key: 'evict', operator: 'Exists' }] }))
    await cluster.runPod('selects', 'exec sleep 1000', wants({ nodeSelector: { tier: 'others' } }))
    await cluster.ready('stays')
    const unschedulable = await cluster.podUntil('selects', (pod) => Boolean(pod?.status?.conditions?.length))
    expect(unschedulable.status?.conditions?.[0]?.message).toContain("didn't match Pod's node affinity/selector")
    const asked = { requests: { cpu: '1000' } }
    await cluster.runPod('huge', 'true', wants({ nodeName: NAME, containers: [{ name: 'huge', resources: asked }] }))
    await cluster.runPod('elsewhere', 'true', wants({ nodeName: NAME, nodeSelector: { tier: 'others' } }))
    const reasons = ['huge', 'elsewhere'].map(async (name) => {
      const { status } = await cluster.podUntil(name, (pod) => pod?.status?.phase === 'Failed')
      return status?.reason
    })
    expect(await Promise.all(reasons)).toEqual(['OutOfcpu', 'NodeAffinity'])
    await cluster.mustKubectl(['taint', 'node', NAME, 'evict=now:NoExecute'])
    await cluster.podUntil('client', (pod) => pod === undefined)
    expect((await cluster.podUntil('stays', Boolean)).metadata.deletionTimestamp).toBeUndefined()
    await cluster.mustKubectl(['taint', 'node', NAME, 'evict-'])
    await cluster.mustKubectl(['label', 'node', NAME, 'tier=others', '--overwrite'])
    await cluster.ready('selects')
    await cluster.mustKubectl(['drain', NAME, '--force', '--ignore-daemonsets', '--timeout=60s'])
    expect((await cluster.client.list(resources.pods, { namespace: 'default' })).items).toEqual([])
    await cluster.mustKubectl(['uncordon', NAME])
  })

  test('a Node that somebody deletes comes back while its machine is there', async () => {
    const { uid } = (await cluster.node()).metadata
    await cluster.mustKubectl(['delete', 'node', NAME])
    await expect
      .poll(async () => (await cluster.kubectl(['get', 'node', NAME, '-o', 'jsonpath={.metadata.uid}'])).stdout)
      .not.toBe('')
    expect((await cluster.node()).metadata.uid).not.toBe(uid)
    await cluster.mustKubectl(['wait', '--for=condition=Ready', `node/${NAME}`, '--timeout=30s'])
  })

  test('metrics-server asks the node, and kubectl top tells', async () => {
    await cluster.runPod('busy', 'while true; do :; done')
    await cluster.ready('busy')
    await using _server = await startMetricsServer(cluster.plane, await cluster.address())
    const top = async (...words: string[]): Promise<string> =>
      (await cluster.kubectl(['top', ...words, '--no-headers'])).stdout
    await expect
      .poll(() => top('pod', 'busy'), { timeout: 90_000, interval: 1000 })
      .toMatch(/^busy +[1-9]\d*m +\d+Mi\s*$/)
    await expect
      .poll(() => top('node', NAME), { timeout: 60_000, interval: 1000 })
      .toMatch(/^sandbox-node +[1-9]\d*m +\d+% +\d+Mi +\d+%\s*$/)
  })

  test('its name is nobody else’s', async () => {
    const other = { env: { CAISSON_DATA_DIR: join(cluster.work, 'other') } }
    expect(await cluster.caisson(joinWords, other)).toMatchObject({
      code: 64,
      stderr: expect.stringContaining(`the cluster has a node ${NAME} that is not this one (v1.34.0, `),
    })
    expect(await cluster.caisson(['up', '--detach'])).toMatchObject({
      code: 64,
      stderr: expect.stringContaining(`${cluster.data} is node ${NAME} of ${cluster.plane.server}`),
    })
  })

  test('leaves nothing on the machine, and is gone from the cluster', async () => {
    expect(await cluster.mustCaisson(['node', 'leave', '--delete-node'])).toBe(
      `node ${NAME} has left ${cluster.plane.server}\n`,
    )
    expect(leftovers(cluster.data)).toEqual({ processes: [], mounts: [], namespaces: [], containers: [], groups: [] })
    expect(() => statSync(cluster.data)).toThrow('ENOENT')
    expect((await cluster.client.list(resources.nodes)).items).toEqual([])
    const bindings = (await cluster.client.list(resources.clusterRoleBindings)).items.map(
      ({ metadata }) => metadata.name,
    )
    expect(bindings.filter((name) => name?.startsWith('caisson:'))).toEqual([])
    expect((await cluster.client.list(resources.leases, { namespace: 'kube-node-lease' })).items).toEqual([])
  })

  /** The machine's programs without the one. */
  function pathWithoutRunsc(): string {
    const directory = mkdtempSync(join(cluster.work, 'programs-'))
    for (const name of readdirSync('/usr/bin'))
      if (name !== 'runsc') symlinkSync(join('/usr/bin', name), join(directory, name))
    return `${join(ROOT, 'node_modules/.bin')}:${directory}`
  }
})

/** Listens on an address of this machine. */
async function serveHere(host: string): Promise<AsyncDisposable & { url: string }> {
  const server = createServer((_request, response) => void response.end('of the machine'))
  server.listen(0, host)
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    url: `http://${host}:${port}/`,
    async [Symbol.asyncDispose]() {
      server.close()
      server.closeAllConnections()
      await once(server, 'close')
    },
  }
}
