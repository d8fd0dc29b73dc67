/** What tests of Sandboxes begin with, and short ways to say what is wanted. */
import { findCondition, type Sandbox, sandboxCrd, snapshotCrd } from '@caisson/api'
import { isNotFound } from '@caisson/client'
import { PODS, type Pod, SANDBOXES } from '../sandbox/objects.ts'
import type { EmbeddedServer } from './embedded-cluster.ts'
import { until } from './test-cluster.ts'
import { type NamespaceTests, useNamespace } from './test-namespace.ts'

interface SandboxTests extends NamespaceTests {
  create(sandbox: Sandbox): Promise<Sandbox>
  patch(name: string, body: object): Promise<Sandbox>
  at(name: string): { namespace: string; name: string }
  /** Waits for the reason of a condition; of `Ready` unless said. */
  untilReason(name: string, wanted: string, type?: string): Promise<Sandbox>
  untilPod(name: string): Promise<Pod>
  podExists(name: string): Promise<boolean>
}

/** For a whole file: one API server, and for each test a namespace. */
export function useSandboxes(server: EmbeddedServer): SandboxTests {
  const t = useNamespace(server, [sandboxCrd(), snapshotCrd()])
  const at = (name: string) => ({ namespace: t.namespace, name })
  return Object.assign(t, {
    create: (sandbox: Sandbox) => t.client.create(SANDBOXES, sandbox, { namespace: t.namespace }),
    patch: (name: string, body: object) => t.client.patch(SANDBOXES, name, body, { namespace: t.namespace }),
    at,
    untilReason: (name: string, wanted: string, type = 'Ready') =>
      until(t.client, SANDBOXES, at(name), (sandbox) => reasonOf(sandbox, type) === wanted),
    untilPod: (name: string) => until(t.client, PODS, at(name), (pod) => pod !== undefined),
    podExists: (name: string) => exists(t.client.get(PODS, name, { namespace: t.namespace })),
  })
}

export function reasonOf(sandbox: Sandbox | undefined, type = 'Ready'): string | undefined {
  return findCondition(sandbox?.status?.conditions, type)?.reason
}

/** Whether a request finds its object. */
export async function exists(request: Promise<unknown>): Promise<boolean> {
  try {
    await request
    return true
  } catch (error) {
    if (isNotFound(error)) return false
    throw error
  }
}
