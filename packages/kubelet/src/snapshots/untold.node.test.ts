/** A snapshot that the API cannot be told of for a while, with a real one: its source has ended, and nothing else is left of it. */
import * as apiserver from '@caisson/apiserver'
import { type AnyObject, defineResource, resources } from '@caisson/client'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type ScratchNode, startScratchNode } from '../testing/scratch-node.ts'
import { isReady } from '../testing/scratch-pods.ts'
import { assignSnapshot, BOX, serveSnapshots, settledSnapshot } from '../testing/scratch-snapshots.ts'

const ADMISSION = { group: 'admissionregistration.k8s.io', version: 'v1', namespaced: false }
const POLICIES = defineResource<AnyObject & { spec: object }>({
  ...ADMISSION,
  plural: 'validatingadmissionpolicies',
  kind: 'ValidatingAdmissionPolicy',
})
const BINDINGS = defineResource<AnyObject & { spec: object }>({
  ...ADMISSION,
  plural: 'validatingadmissionpolicybindings',
  kind: 'ValidatingAdmissionPolicyBinding',
})
const at = { namespace: 'default' }

let node: ScratchNode
beforeAll(async () => {
  node = await startScratchNode(apiserver)
  await serveSnapshots(node)
})
afterAll(() => node[Symbol.asyncDispose]())

/** The API server takes nothing that the node says of snapshots until what is given is disposed. */
async function refuseStatuses(): Promise<AsyncDisposable> {
  const metadata = { name: 'silence' }
  const rule = { operations: ['UPDATE'], apiGroups: ['*'], apiVersions: ['*'], resources: ['sandboxsnapshots/status'] }
  const expression = "request.userInfo.username != 'system:node:scratch'"
  await node.client.create(POLICIES, {
    metadata,
    spec: { matchConstraints: { resourceRules: [rule] }, validations: [{ expression, message: 'not now' }] },
  })
  await node.client.create(BINDINGS, { metadata, spec: { policyName: 'silence', validationActions: ['Deny'] } })
  return {
    async [Symbol.asyncDispose]() {
      await node.client.delete(BINDINGS, 'silence')
      await node.client.delete(POLICIES, 'silence')
    },
  }
}

const script = 'import time\nprint("begun", flush=True)\nwhile True:\n  time.sleep(0.1)\n  print("goes on", flush=True)'
const spec = {
  terminationGracePeriodSeconds: 0,
  containers: [{ name: 'main', image: 'caisson.dev/host', command: ['python3', '-c', script] }],
}

test('a snapshot whose source has ended stays where the API cannot be told of it, and is told when it can', async () => {
  await suspend('kept', () => node.restart())
  await node.create('copy', spec, { annotations: { 'caisson.dev/snapshot': 'kept' } })
  await node.until('copy', isReady)
  await expect.poll(() => node.log('copy')).toContain('goes on')
  expect(await node.log('copy')).not.toContain('begun')
  await node.client.delete(resources.pods, 'copy', { ...at, gracePeriodSeconds: 0 })
  await node.client.delete(resources.pods, 'box', at)
})

test('so it does where its Pod is deleted meanwhile, which alone said that it has ended', async () => {
  await suspend('orphan', async () => {
    await node.client.delete(resources.pods, 'box', at)
    await node.gone('box')
    await node.restart()
  })
})

/** Nothing is left of the Pod's sandbox when `meanwhile` begins, and the API is told of the snapshot once that is over. */
async function suspend(name: string, meanwhile: () => Promise<void>): Promise<void> {
  await node.create('box', spec, { ownerReferences: [BOX] })
  const box = await node.until('box', isReady)
  await expect.poll(() => node.log('box')).toContain('begun')
  const kept = { name, pod: box, endSource: true }
  {
    await using _refused = await refuseStatuses()
    node.errors.length = 0
    await assignSnapshot(node, kept)
    await expect.poll(() => node.errors.join('\n'), { timeout: 20_000 }).toContain('not now')
    await node.until('box', (pod) => pod.status?.phase === 'Succeeded')
    await expect.poll(() => node.runtime.list()).toEqual([])
    // Nor does another agent take what it finds for something that went on.
    await meanwhile()
  }
  expect(await settledSnapshot(node, kept)).toMatchObject({ status: 'True', reason: 'Taken' })
}
