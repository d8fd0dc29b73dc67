import { execFile, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { kubeconfig } from './authn/kubeconfig.ts'
import { type RunningApiServer, startApiServer } from './start-api-server.ts'

const run = promisify(execFile)

function hasKubectl(): boolean {
  try {
    execFileSync('kubectl', ['version', '--client'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

const available = hasKubectl()
if (!available) console.warn('kubectl is not installed: the tests that need it are not run')

let directory: string
let server: RunningApiServer
let environment: NodeJS.ProcessEnv

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'kubectl-'))
  server = await startApiServer({
    directory: join(directory, 'state'),
    certificates: join(directory, 'pki'),
    host: '127.0.0.1',
    port: 0,
  })
  const { authority, administrator } = server.certificates
  const config = kubeconfig({ server: server.url, authority, name: 'test', user: 'admin', credentials: administrator })
  const path = join(directory, 'kubeconfig')
  writeFileSync(path, JSON.stringify(config), { mode: 0o600 })
  // HOME too: kubectl caches discovery there.
  environment = { ...process.env, KUBECONFIG: path, HOME: directory }
})

afterAll(async () => {
  await server[Symbol.asyncDispose]()
  rmSync(directory, { recursive: true })
})

/** What kubectl prints on stdout; its failure has what it printed on stderr. */
async function kubectl(line: string, input?: string): Promise<string> {
  const args = line.match(/'[^']*'|\S+/g)?.map((word) => word.replaceAll("'", '')) ?? []
  const running = run('kubectl', args, { env: environment })
  running.child.stdin?.end(input ?? '')
  return (await running).stdout
}

async function failure(line: string, input?: string): Promise<string> {
  try {
    return `no failure: ${await kubectl(line, input)}`
  } catch (error) {
    return (error as { stderr: string }).stderr.trim()
  }
}

const WIDGETS = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: widgets.example.com
spec:
  group: example.com
  scope: Namespaced
  names: { plural: widgets, singular: widget, kind: Widget, shortNames: [wd] }
  versions:
    - name: v1
      served: true
      storage: true
      subresources:
        status: {}
        scale: { specReplicasPath: .spec.replicas, statusReplicasPath: .status.replicas }
      additionalPrinterColumns:
        - { name: Size, type: integer, jsonPath: .spec.size }
        - { name: Age, type: date, jsonPath: .metadata.creationTimestamp }
      schema:
        openAPIV3Schema:
          type: object
          properties:
            spec:
              type: object
              required: [size]
              properties:
                size: { type: integer, maximum: 10 }
                replicas: { type: integer, default: 1 }
            status:
              type: object
              properties:
                replicas: { type: integer }
                conditions:
                  type: array
                  items: { type: object, x-kubernetes-preserve-unknown-fields: true }
`

const widget = (size: number) => `
apiVersion: example.com/v1
kind: Widget
metadata: { name: one }
spec: { size: ${size} }
`

describe.skipIf(!available)('kubectl', () => {
  test('sees what is served', async () => {
    expect(await kubectl('version -o json')).toContain('"gitVersion": "v1.34.4+caisson"')
    expect(await kubectl('api-resources --api-group= --no-headers -o name --sort-by=name')).toBe(
      'bindings\nconfigmaps\nendpoints\nevents\nlimitranges\nnamespaces\nnodes\npersistentvolumeclaims\npersistentvolumes\npods\npodtemplates\nreplicationcontrollers\nresourcequotas\nsecrets\nserviceaccounts\nservices\n',
    )
    expect(await kubectl('get --raw /readyz')).toBe('ok')
    expect(await kubectl('get --raw /readyz?verbose')).toContain('readyz check passed')
    expect(await kubectl('get --raw /livez/storage')).toBe('ok')
    const { paths } = JSON.parse(await kubectl('get --raw /')) as { paths: string[] }
    expect(paths.filter((path) => !path.startsWith('/apis/'))).toEqual([
      '/.well-known/openid-configuration',
      '/api',
      '/api/v1',
      '/apis',
      '/healthz',
      '/healthz/ping',
      '/healthz/shutdown',
      '/healthz/storage',
      '/livez',
      '/livez/ping',
      '/livez/storage',
      '/metrics',
      '/openapi/v2',
      '/openapi/v3',
      '/openid/v1/jwks',
      '/readyz',
      '/readyz/ping',
      '/readyz/shutdown',
      '/readyz/storage',
      '/version',
    ])
    expect(paths).toContain('/apis/apps/v1')
  })

  test('creates, applies, patches, edits, describes and deletes', async () => {
    // Typed commands of kubectl send protobuf.
    expect(await kubectl('create configmap c --from-literal=a=b')).toBe('configmap/c created\n')
    expect(await kubectl("get configmap c -o 'jsonpath={.data}'")).toBe('{"a":"b"}')
    expect(await kubectl('get configmaps --no-headers')).toMatch(/^c +1 +\d+s\n$/)
    expect(await failure('create configmap c')).toBe('error: failed to create configmap: configmaps "c" already exists')
    const manifest =
      'apiVersion: v1\nkind: ConfigMap\nmetadata: { name: applied, labels: { x: z } }\ndata: { a: "1" }\n'
    expect(await kubectl('apply -f -', manifest)).toBe('configmap/applied created\n')
    expect(await kubectl('apply -f -', manifest)).toBe('configmap/applied unchanged\n')
    expect(await kubectl('apply -f -', manifest.replace('"1"', '"2"'))).toBe('configmap/applied configured\n')
    expect(await kubectl('apply --server-side --field-manager=other -f -', manifest.replace('a: "1"', 'b: "3"'))).toBe(
      'configmap/applied serverside-applied\n',
    )
    expect(
      await failure('apply --server-side --field-manager=third -f -', manifest.replace('a: "1"', 'b: "4"')),
    ).toContain('conflict with "other": .data.b')
    expect(await kubectl('patch configmap applied --type=json -p \'[{"op":"remove","path":"/data/b"}]\'')).toBe(
      'configmap/applied patched\n',
    )
    expect(await kubectl('patch configmap applied -p {"data":{"z":"9"}}')).toBe('configmap/applied patched\n')
    expect(await kubectl("get configmap applied -o 'jsonpath={.data}'")).toBe('{"z":"9"}')
    expect(await kubectl('get configmaps -l x=z -o name')).toBe('configmap/applied\n')
    expect(await kubectl('get configmaps -l x!=z -o name --field-selector=metadata.name=c')).toBe('configmap/c\n')
    expect(await kubectl('describe configmap applied')).toContain('Data\n====\nz:\n----\n9')
    expect(withoutNamespaces(await kubectl('delete configmap applied c'))).toBe(
      'configmap "applied" deleted\nconfigmap "c" deleted\n',
    )
    expect(await failure('get configmap c')).toBe('Error from server (NotFound): configmaps "c" not found')
  })

  test('diffs and dry-runs without changing anything', async () => {
    await kubectl('create configmap kept --from-literal=a=1')
    const manifest = 'apiVersion: v1\nkind: ConfigMap\nmetadata: { name: kept }\ndata: { a: "2" }\n'
    expect(await failure('diff --server-side -f -', manifest).then((text) => text.split('\n').length)).toBeGreaterThan(
      0,
    )
    expect(await kubectl('apply --dry-run=server -f -', manifest)).toBe('configmap/kept configured (server dry run)\n')
    expect(await kubectl("get configmap kept -o 'jsonpath={.data.a}'")).toBe('1')
  })

  test('creates Pods and shows them in a table', async () => {
    await kubectl('create namespace pods')
    await kubectl('create serviceaccount default -n pods')
    expect(await kubectl('run web -n pods --image=nginx --port=80')).toBe('pod/web created\n')
    const line = await kubectl('get pods -n pods -o wide --no-headers')
    expect(line.split(/\s+/).slice(0, 4)).toEqual(['web', '0/1', 'Pending', '0'])
    expect(await kubectl('describe pod web -n pods')).toContain('Status:           Pending')
    expect(await kubectl('explain pod.spec.containers.image')).toContain('FIELD: image <string>')
    expect(await kubectl('logs web -n pods')).toBe('')
    expect(await failure('exec web -n pods -- true')).toContain('pod web does not have a host assigned')
    expect(await failure('exec web -n pods -c nothing -- true')).toContain('container nothing is not valid for pod web')
    expect(withoutNamespaces(await kubectl('delete pod web -n pods'))).toBe('pod "web" deleted\n')
  })

  test('uses custom resources: schema, status, scale, wait, and the end of the definition', async () => {
    expect(await kubectl('apply -f -', WIDGETS)).toBe(
      'customresourcedefinition.apiextensions.k8s.io/widgets.example.com created\n',
    )
    expect(await kubectl('wait --for=condition=Established crd/widgets.example.com')).toContain('condition met')
    expect(await kubectl('apply -f -', widget(3))).toBe('widget.example.com/one created\n')
    expect(await kubectl('get wd --no-headers')).toMatch(/^one +3 +\d+s\n$/)
    expect(await failure('apply -f -', widget(11))).toContain(
      'spec.size: Invalid value: 11: spec.size in body should be less than or equal to 10',
    )
    expect(await failure('apply -f -', widget(3).replace('size: 3', 'size: 3, colour: red'))).toContain(
      'strict decoding error: unknown field "spec.colour"',
    )
    expect(await kubectl('scale widget one --replicas=4')).toBe('widget.example.com/one scaled\n')
    expect(await kubectl("get widget one -o 'jsonpath={.spec.replicas} {.metadata.generation}'")).toBe('4 2')
    const waiting = kubectl('wait --for=condition=Ready widget/one --timeout=20s')
    await kubectl(
      'patch widget one --subresource=status --type=merge -p {"status":{"conditions":[{"type":"Ready","status":"True"}]},"spec":{"size":9}}',
    )
    expect(await waiting).toBe('widget.example.com/one condition met\n')
    expect(await kubectl("get widget one -o 'jsonpath={.spec.size} {.metadata.generation}'")).toBe('3 2')
    expect(await kubectl('explain widget.spec.size')).toContain('FIELD: size <integer>')
    expect(await kubectl('delete crd widgets.example.com')).toContain('deleted')
    expect(await failure('get widgets')).toContain('the server could not find the requested resource')
  })

  test('asks who it is and what it may do', async () => {
    expect(await kubectl('auth whoami -o jsonpath={.status.userInfo.username}')).toBe('kubernetes-admin')
    await kubectl('create serviceaccount reader')
    await kubectl('create role reader --verb=get --resource=configmaps')
    await kubectl('create rolebinding reader --role=reader --serviceaccount=default:reader')
    const asReader = '--as=system:serviceaccount:default:reader'
    expect(await kubectl(`auth can-i get configmaps ${asReader}`)).toBe('yes\n')
    expect(await failure(`delete configmap kept ${asReader}`)).toBe(
      'Error from server (Forbidden): configmaps "kept" is forbidden: User "system:serviceaccount:default:reader" cannot delete resource "configmaps" in API group "" in the namespace "default"',
    )
    const token = (await kubectl('create token reader')).trim()
    expect(
      await failure(
        `get secrets --token=${token} --kubeconfig=/dev/null --server=${server.url} --insecure-skip-tls-verify`,
      ),
    ).toContain('User "system:serviceaccount:default:reader" cannot list resource "secrets"')
  })

  test('watches', async () => {
    const watching = spawn('kubectl', ['get', 'configmaps', '-w', '-o', 'name', '-l', 'watched=yes'], {
      env: environment,
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    let seen = ''
    const threeLines = new Promise<void>((resolve) => {
      watching.stdout.on('data', (chunk: Buffer) => {
        seen += chunk.toString()
        if (seen.split('\n').length > 3) resolve()
      })
    })
    const manifest = 'apiVersion: v1\nkind: ConfigMap\nmetadata: { name: seen, labels: { watched: "yes" } }\n'
    await kubectl('create -f -', manifest)
    await kubectl('annotate configmap seen a=b')
    await kubectl('delete configmap seen')
    await threeLines
    watching.kill()
    await once(watching, 'close')
    expect(seen).toBe('configmap/seen\nconfigmap/seen\nconfigmap/seen\n')
  })
})

/** kubectl says since 1.33 from which namespace something was deleted. */
function withoutNamespaces(said: string): string {
  return said.replaceAll(/ from \S+ namespace/g, '')
}
