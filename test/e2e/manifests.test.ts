/** deploy/manifests and deploy/kustomization.yaml, applied with kubectl to a real control plane. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { parseAllDocuments } from 'yaml'
import { type RealCluster, startRealCluster } from '../cluster/real-cluster.ts'
import { findKubectl, type Outcome, run } from './fixture.ts'

const DIRECTORY = join(import.meta.dirname, '../../deploy/manifests')
const SYSTEM = 'agent-sandbox-system'
const ACCOUNT = `system:serviceaccount:${SYSTEM}:agent-sandbox-controller`

let plane: RealCluster

beforeAll(async () => {
  plane = await startRealCluster({ controllers: false })
  // Nothing can be tried in a namespace that there is not.
  await lines('create', 'namespace', SYSTEM, '--save-config')
})

afterAll(async () => {
  await plane?.[Symbol.asyncDispose]()
})

function kubectl(...args: string[]): Promise<Outcome> {
  const found = findKubectl()
  if (found === undefined) throw new Error('kubectl was not built with the control plane')
  return run(found, args, { env: { KUBECONFIG: plane.kubeconfig } })
}

async function lines(...args: string[]): Promise<string[]> {
  const { code, stdout, stderr } = await kubectl(...args)
  expect([code, stderr]).toEqual([0, ''])
  return stdout.trim().split('\n')
}

const CORE = [
  'customresourcedefinition.apiextensions.k8s.io/sandboxes.agents.x-k8s.io',
  'customresourcedefinition.apiextensions.k8s.io/sandboxsnapshots.caisson.dev',
  'serviceaccount/agent-sandbox-controller',
  'clusterrole.rbac.authorization.k8s.io/agent-sandbox-controller',
  'clusterrolebinding.rbac.authorization.k8s.io/agent-sandbox-controller',
  'role.rbac.authorization.k8s.io/agent-sandbox-controller-leader-election',
  'rolebinding.rbac.authorization.k8s.io/agent-sandbox-controller-leader-election',
  'deployment.apps/agent-sandbox-controller',
  'service/agent-sandbox-controller',
]
const EXTENSIONS = [
  'customresourcedefinition.apiextensions.k8s.io/sandboxtemplates.extensions.agents.x-k8s.io',
  'customresourcedefinition.apiextensions.k8s.io/sandboxclaims.extensions.agents.x-k8s.io',
  'customresourcedefinition.apiextensions.k8s.io/sandboxwarmpools.extensions.agents.x-k8s.io',
  'clusterrole.rbac.authorization.k8s.io/agent-sandbox-controller-extensions',
  'clusterrolebinding.rbac.authorization.k8s.io/agent-sandbox-controller-extensions',
  'role.rbac.authorization.k8s.io/agent-sandbox-controller-config',
  'rolebinding.rbac.authorization.k8s.io/agent-sandbox-controller-config',
]

test.each([
  { file: 'manifest.yaml', objects: ['namespace/agent-sandbox-system', ...CORE] },
  // The Deployment of manifest.yaml gets a further flag.
  { file: 'extensions.yaml', objects: [...EXTENSIONS, 'deployment.apps/agent-sandbox-controller'] },
])('$file is taken strictly, and again without a change', async ({ file, objects }) => {
  const path = join(DIRECTORY, file)
  const named = (printed: string[]) => printed.map((line) => line.replace(/ .*/, '')).sort()
  const tried = await lines('apply', '-f', path, '--dry-run=server', '--validate=strict')
  expect(named(tried)).toEqual(objects.toSorted())
  expect(named(await lines('apply', '-f', path, '--validate=strict'))).toEqual(objects.toSorted())
  const again = await lines('apply', '-f', path)
  expect(again.sort()).toEqual(objects.map((object) => `${object} unchanged`).sort())
  const difference = await kubectl('diff', '-f', path)
  expect(difference).toEqual({ code: 0, stdout: '', stderr: '' })
})

test('deploy/kustomization.yaml is both files, with each object once', async () => {
  const files = ['manifest.yaml', 'extensions.yaml'].map((name) => readFileSync(join(DIRECTORY, name), 'utf8'))
  const objects = (text: string) => parseAllDocuments(text).map((each) => each.toJS())
  // The Deployment of the second file is the one that counts.
  const wanted = new Map(files.flatMap(objects).map((each) => [`${each.kind} ${each.metadata.name}`, each]))
  const built = objects((await lines('kustomize', join(DIRECTORY, '..'))).join('\n'))
  expect(new Map(built.map((each) => [`${each.kind} ${each.metadata.name}`, each]))).toEqual(wanted)
  expect(built.length).toBe(wanted.size)
})

test('the controllers’ account may do what they do, and not more', async () => {
  const may = async (...what: string[]): Promise<string> =>
    (await kubectl('auth', 'can-i', ...what, '--as', ACCOUNT, '-n', SYSTEM)).stdout.trim()
  const asked = [
    ['patch', 'sandboxclaims.extensions.agents.x-k8s.io/status'],
    ['update', 'leases.coordination.k8s.io/a3317529.agent-sandbox.x-k8s.io'],
    ['update', 'leases.coordination.k8s.io/another'],
    ['get', 'secrets'],
    ['list', 'secrets'],
    ['delete', 'persistentvolumeclaims'],
    ['create', 'pods', '--subresource=exec'],
    ['patch', 'customresourcedefinitions.apiextensions.k8s.io'],
  ]
  const answers = await Promise.all(asked.map(async (what) => [...what, await may(...what)].join(' ')))
  expect(answers).toEqual([
    'patch sandboxclaims.extensions.agents.x-k8s.io/status yes',
    'update leases.coordination.k8s.io/a3317529.agent-sandbox.x-k8s.io yes',
    'update leases.coordination.k8s.io/another no',
    'get secrets no',
    'list secrets no',
    'delete persistentvolumeclaims no',
    'create pods --subresource=exec no',
    'patch customresourcedefinitions.apiextensions.k8s.io no',
  ])
  await lines('apply', '-f', join(DIRECTORY, 'warm-env.yaml'), '--validate=strict')
  const secrets = await Promise.all(['get', 'create', 'delete', 'list', 'patch'].map((verb) => may(verb, 'secrets')))
  expect(secrets).toEqual(['yes', 'yes', 'yes', 'no', 'no'])
})
