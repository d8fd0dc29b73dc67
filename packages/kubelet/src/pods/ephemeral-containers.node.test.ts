import * as apiserver from '@caisson/apiserver'
import { type PodObject, resources } from '@caisson/client'
import type { EphemeralContainer } from 'kubernetes-types/core/v1.d.ts'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type ScratchNode, startScratchNode } from '../testing/scratch-node.ts'
import { container, eventsOf, isReady, remove, waitsFor } from '../testing/scratch-pods.ts'

let node: ScratchNode
beforeAll(async () => {
  node = await startScratchNode(apiserver)
})
afterAll(() => node[Symbol.asyncDispose]())

const at = { namespace: 'default' }

describe('a container that is put into a Pod that runs', () => {
  async function put(name: string, fields: Partial<EphemeralContainer>): Promise<void> {
    const debug = { name: 'debug', image: 'caisson.dev/host', imagePullPolicy: 'IfNotPresent', ...fields }
    const { spec } = await node.client.get(resources.pods, name, at)
    const ephemeralContainers = [...(spec?.ephemeralContainers ?? []), debug]
    await node.client.patch(
      resources.pods,
      name,
      { spec: { ephemeralContainers } },
      {
        ...at,
        type: 'strategic',
        subresource: 'ephemeralcontainers',
      },
    )
  }
  const debugStatus = ({ status }: PodObject) => status?.ephemeralContainerStatuses?.[0]
  const ended = (pod: PodObject) => debugStatus(pod)?.state?.terminated !== undefined

  test('sees the processes and the network of the only one, and is not started again', async () => {
    await node.create('alone', { containers: [container('exec sleep 4321')] })
    await node.until('alone', isReady)
    const look = 'cat /proc/[0-9]*/cmdline | tr "\\0" " "; hostname; exit 3'
    await put('alone', { command: ['sh', '-c', look], targetContainerName: 'main' })
    const pod = await node.until('alone', ended)
    expect(debugStatus(pod)).toMatchObject({
      name: 'debug',
      ready: false,
      restartCount: 0,
      containerID: `caisson://${pod.metadata.uid}-e0-0`,
      state: { terminated: { exitCode: 3, reason: 'Error' } },
    })
    expect(await node.log('alone', { container: 'debug' })).toMatch(/sleep 4321 [^]*alone\n$/)
    expect(pod.status?.containerStatuses?.[0]?.restartCount).toBe(0)
    expect(isReady(pod)).toBe(true)
    expect(eventsOf(node, 'alone').slice(-3)).toEqual([
      'Pulled Container image "caisson.dev/host" already present on machine',
      'Created Created container: debug',
      'Started Started container debug',
    ])
    await node.restart()
    await node.kubelet.idle()
    expect(debugStatus(await node.client.get(resources.pods, 'alone', at))).toEqual(debugStatus(pod))
    await remove(node, 'alone')
  })

  test('works where the only one does not run', async () => {
    await node.create('crashing', { containers: [container('exit 1')] })
    await node.until('crashing', waitsFor('CrashLoopBackOff'))
    await put('crashing', { command: ['sh', '-c', 'exec sleep 1000'] })
    await node.until('crashing', (pod) => debugStatus(pod)?.state?.running !== undefined)
    // And stays when the other one is tried again.
    const pod = await node.until('crashing', ({ status }) => (status?.containerStatuses?.[0]?.restartCount ?? 0) >= 2)
    expect(debugStatus(pod)?.state?.running).toBeDefined()
    await remove(node, 'crashing')
  })

  test('is not begun without the AppArmor profile that it asks for, and needs none under gVisor', async () => {
    const appArmorProfile = { type: 'RuntimeDefault' }
    const debug = { command: ['true'], securityContext: { appArmorProfile } } as Partial<EphemeralContainer>
    for (const [name, runtimeClassName] of [
      ['bare', 'runc'],
      ['shielded', 'gvisor'],
    ] as const) {
      await node.create(name, { runtimeClassName, containers: [container('exec sleep 1000')] })
      await node.until(name, isReady)
      await put(name, debug)
    }
    const pod = await node.until('bare', (found) => debugStatus(found)?.state?.waiting?.message !== undefined)
    expect(debugStatus(pod)?.state?.waiting).toEqual({
      reason: 'CreateContainerError',
      message:
        'container "debug" asks for an AppArmor profile, which handler "runc" applies to none here: remove appArmorProfile from its securityContext and the Pod\'s, or use the RuntimeClass gvisor',
    })
    expect(isReady(pod)).toBe(true)
    expect(debugStatus(await node.until('shielded', ended))?.state?.terminated).toMatchObject({ exitCode: 0 })
    await remove(node, 'bare')
    await remove(node, 'shielded')
  })

  test('says what it cannot find', async () => {
    await node.create('several', {
      containers: [container('exec sleep 1000'), container('exit 0', { name: 'other' })],
      restartPolicy: 'OnFailure',
    })
    await node.until('several', ({ status }) =>
      status?.containerStatuses?.some(({ name, state }) => name === 'other' && state?.terminated),
    )
    await put('several', { command: ['true'], targetContainerName: 'other' })
    const pod = await node.until('several', (found) => debugStatus(found)?.state?.waiting?.message !== undefined)
    expect(debugStatus(pod)?.state?.waiting).toEqual({
      reason: 'CreateContainerConfigError',
      message: 'unable to find target container other',
    })
    await remove(node, 'several')
  })
})
