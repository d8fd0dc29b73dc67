/** What the server itself writes in answer to what happens is written in the end, also where the disk was full just then. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { KubeObject } from '@caisson/api'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { keepPolicyStatus } from './admission/policies/keep-policy-status.ts'
import { keepLocalServices } from './aggregation/keep-local-services.ts'
import { signCertificates } from './authn/sign-certificates.ts'
import { startAggregation } from './authz/aggregation.ts'
import { keepKubernetesService } from './kubernetes-service.ts'
import { keepQuotas } from './quota/keep-quotas.ts'
import { builtinResources } from './registry/builtin/index.ts'
import { followDefinitions } from './registry/definitions.ts'
import { createRegistry } from './registry/registry.ts'
import { openStore } from './storage/sqlite-store.ts'
import type { ResourceKey, Store } from './storage/store.ts'
import { type FillableStore, withFillableDisk } from './testing/full-disk.ts'

let directory: string
let real: Store
let disk: FillableStore
let reported: unknown[]
let stack: DisposableStack
const registry = createRegistry(builtinResources())

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'full-disk-'))
  real = openStore({ directory })
  disk = withFillableDisk(real)
  reported = []
  stack = new DisposableStack()
})

afterEach(async () => {
  stack.dispose()
  await real[Symbol.asyncDispose]()
  rmSync(directory, { recursive: true })
})

const options = () => ({
  store: disk.store,
  registry,
  now: Date.now,
  report: (error: unknown) => void reported.push(error),
})

function put(resource: ResourceKey, object: Record<string, unknown> & { metadata: object }): Promise<KubeObject> {
  return real.write((transaction) => transaction.put(resource, { apiVersion: 'v1', kind: 'Some', ...object }))
}

/** What is done about it fails, and finds room the next time. */
async function whileFull(happens: () => Promise<unknown>): Promise<void> {
  disk.isFull = true
  await happens()
  await expect.poll(() => reported).toHaveLength(1)
  disk.isFull = false
}

const within = { timeout: 10_000 }

test('a quota gives back what was deleted', async () => {
  const metadata = { name: 'q', namespace: 'a' }
  await put('resourcequotas', { metadata, spec: { hard: { configmaps: '5' } } })
  const map = await put('configmaps', { metadata: { name: 'm', namespace: 'a' } })
  stack.use(keepQuotas(options()))
  const used = () => real.get('resourcequotas', 'a', 'q')?.['status']
  await expect.poll(used).toMatchObject({ used: { configmaps: '1' } })
  await whileFull(() => real.write((transaction) => transaction.delete('configmaps', map)))
  await expect.poll(used, within).toMatchObject({ used: { configmaps: '0' } })
})

test('an aggregated role loses what the roles that it was of no longer have', async () => {
  const roles = 'clusterroles.rbac.authorization.k8s.io'
  const rules = [{ apiGroups: [''], resources: ['secrets'], verbs: ['get'] }]
  const part = await put(roles, { metadata: { name: 'part', labels: { a: 'b' } }, rules })
  const aggregationRule = { clusterRoleSelectors: [{ matchLabels: { a: 'b' } }] }
  await put(roles, { metadata: { name: 'all' }, aggregationRule, rules })
  stack.use(startAggregation(disk.store, { onError: options().report }))
  await whileFull(() => real.write((transaction) => transaction.delete(roles, part)))
  await expect.poll(() => real.get(roles, undefined, 'all')?.['rules'], within).toEqual([])
})

test('a definition goes with its objects', async () => {
  const definitions = 'customresourcedefinitions.apiextensions.k8s.io'
  const names = { plural: 'widgets', kind: 'Widget', singular: 'widget', listKind: 'WidgetList' }
  const versions = [{ name: 'v1', served: true, storage: true, schema: { openAPIV3Schema: { type: 'object' } } }]
  const metadata = { name: 'widgets.example.com', finalizers: ['customresourcecleanup.apiextensions.k8s.io'] }
  const definition = {
    metadata,
    spec: { group: 'example.com', scope: 'Cluster', names, versions },
    status: { acceptedNames: names, conditions: [{ type: 'Established', status: 'True' }] },
  }
  await put(definitions, definition)
  const widget = await put('widgets.example.com', { metadata: { name: 'one' } })
  stack.use(
    followDefinitions({
      ...options(),
      conversionOf: () => undefined,
      deleteAll: () => disk.store.write((transaction) => void transaction.delete('widgets.example.com', widget)),
    }),
  )
  const deletionTimestamp = '2026-01-01T00:00:00Z'
  await whileFull(() => put(definitions, { ...definition, metadata: { ...metadata, deletionTimestamp } }))
  await expect.poll(() => real.get(definitions, undefined, 'widgets.example.com'), within).toBeUndefined()
  expect([...real.list('widgets.example.com')]).toEqual([])
})

test('an approved request for a certificate is answered', async () => {
  const requests = 'certificatesigningrequests.certificates.k8s.io'
  const issue = (): never => {
    throw new Error('it is not asked')
  }
  stack.use(signCertificates({ ...options(), issue }))
  await whileFull(() =>
    put(requests, {
      metadata: { name: 'one', uid: 'u' },
      spec: { signerName: 'kubernetes.io/kube-apiserver-client', request: '', usages: [] },
      status: { conditions: [{ type: 'Approved', status: 'True' }] },
    }),
  )
  await expect
    .poll(() => real.get(requests, undefined, 'one')?.['status'], within)
    .toMatchObject({ conditions: [{ type: 'Approved' }, { type: 'Failed' }] })
})

test('a policy says which of its generations was looked at', async () => {
  const policies = 'validatingadmissionpolicies.admissionregistration.k8s.io'
  stack.use(keepPolicyStatus(options()))
  await whileFull(() => put(policies, { metadata: { name: 'p', generation: 3 }, spec: { validations: [] } }))
  await expect
    .poll(() => real.get(policies, undefined, 'p')?.['status'], within)
    .toMatchObject({ observedGeneration: 3 })
})

test('an APIService of what is served is put right', async () => {
  const services = 'apiservices.apiregistration.k8s.io'
  stack.use(keepLocalServices(options()))
  const service = () => real.get(services, undefined, 'v1.apps')
  await expect.poll(service).toBeDefined()
  await whileFull(() => real.write((transaction) => transaction.delete(services, service() as KubeObject)))
  await expect.poll(service, within).toBeDefined()
})

test('the Service of the server itself comes back', async () => {
  stack.use(await keepKubernetesService(disk.store, { ...options(), host: '127.0.0.1', port: 1 }))
  const service = () => real.get('services', 'default', 'kubernetes')
  await whileFull(() => real.write((transaction) => transaction.delete('services', service() as KubeObject)))
  await expect.poll(service, within).toBeDefined()
})
