/** For tests: snapshots of a scratch node's Pods, which are taken as a controller has them taken. */
import { type ConditionState, findCondition, type SandboxSnapshot, snapshotCrd } from '@caisson/api'
import { defineResource, type PodObject, sandboxSnapshots } from '@caisson/client'
import type { ScratchNode } from './scratch-node.ts'

const CRDS = defineResource<ReturnType<typeof snapshotCrd>>({
  group: 'apiextensions.k8s.io',
  version: 'v1',
  plural: 'customresourcedefinitions',
  kind: 'CustomResourceDefinition',
  namespaced: false,
})

/** The Sandbox whose Pods have their snapshots taken. */
export const BOX = {
  apiVersion: 'agents.x-k8s.io/v1beta1',
  kind: 'Sandbox',
  name: 'box',
  uid: 'box-uid',
  controller: true,
}

export interface WantedSnapshot {
  name: string
  /** One of `BOX`. */
  pod: PodObject
  endSource?: boolean
}

/** Before all else. */
export async function serveSnapshots({ client }: Pick<ScratchNode, 'client'>): Promise<void> {
  await client.create(CRDS, snapshotCrd())
}

export async function assignSnapshot({ client }: ScratchNode, { name, pod, endSource }: WantedSnapshot): Promise<void> {
  const { namespace, uid = '' } = pod.metadata
  const spec = { sandboxName: BOX.name, ...(endSource !== undefined && { endSource }) }
  const metadata = { name, finalizers: ['caisson.dev/snapshot-files'] }
  await client.create(sandboxSnapshots, { metadata, spec }, { namespace })
  await client.patchStatus(sandboxSnapshots, name, { status: { nodeName: 'scratch', podUID: uid } }, { namespace })
}

/** What has become of it, as soon as that is known. */
export async function settledSnapshot(
  { client }: ScratchNode,
  { name, pod: { metadata } }: WantedSnapshot,
): Promise<ConditionState> {
  for await (const { object } of client.watch(sandboxSnapshots, { namespace: metadata.namespace })) {
    const snapshot = object as SandboxSnapshot
    const ready = findCondition(snapshot.status?.conditions, 'Ready')
    if (snapshot.metadata.name === name && ready) return ready
  }
  throw new Error('the watch ended')
}

export async function takeSnapshot(node: ScratchNode, wanted: WantedSnapshot): Promise<ConditionState> {
  await assignSnapshot(node, wanted)
  return await settledSnapshot(node, wanted)
}
