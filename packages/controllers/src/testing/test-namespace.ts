/** What tests of controllers begin with: a cluster for the file, and for each test a namespace with controllers that work in it. */
import { randomBytes } from 'node:crypto'
import type { CustomResourceDefinition } from '@caisson/api'
import { type Client, isAlreadyExists, resources } from '@caisson/client'
import { afterAll, afterEach, beforeAll, beforeEach } from 'vitest'
import { type EmbeddedServer, startEmbeddedCluster } from './embedded-cluster.ts'
import { installCrd, type RunningControllers, runControllers, type TestCluster } from './test-cluster.ts'

export interface NamespaceTests {
  readonly cluster: TestCluster
  readonly client: Client
  readonly namespace: string
  /** The controllers of this test. */
  readonly running: RunningControllers
  /** Ends them at once and has others follow them. */
  restart(whileNoneRuns?: () => Promise<unknown>): Promise<void>
}

/** A name that no other test on the same cluster has. */
export function namespaceName(): string {
  return `test-${randomBytes(4).toString('hex')}`
}

/** One that takes Pods: they need its ServiceAccount, whose controller comes later or is not there. */
export async function createNamespace(client: Client, name: string): Promise<void> {
  await client.create(resources.namespaces, { metadata: { name } })
  const account = { metadata: { name: 'default' } }
  await client.create(resources.serviceAccounts, account, { namespace: name }).catch((error: unknown) => {
    if (!isAlreadyExists(error)) throw error
  })
}

/** For a whole file. */
export function useNamespace(server: EmbeddedServer, crds: readonly CustomResourceDefinition[]): NamespaceTests {
  let cluster: TestCluster
  let namespace: string
  let running: RunningControllers

  beforeAll(async () => {
    cluster = await startEmbeddedCluster(server)
    for (const crd of crds) await installCrd(cluster.client, crd)
  })
  afterAll(async () => cluster[Symbol.asyncDispose]())
  beforeEach(async () => {
    namespace = namespaceName()
    await createNamespace(cluster.client, namespace)
    running = await runControllers(cluster, namespace)
  })
  afterEach(async () => {
    await running[Symbol.asyncDispose]()
    await cluster.client.delete(resources.namespaces, namespace)
  })

  return {
    get cluster() {
      return cluster
    },
    get client() {
      return cluster.client
    },
    get namespace() {
      return namespace
    },
    get running() {
      return running
    },
    async restart(whileNoneRuns) {
      await running[Symbol.asyncDispose]()
      await whileNoneRuns?.()
      running = await runControllers(cluster, namespace)
    },
  }
}
