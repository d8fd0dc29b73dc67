import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import * as apiserver from '@caisson/apiserver'
import { resources } from '@caisson/client'
import { defaultToolsDirectory, installTools, openImageStore } from '@caisson/runtime'
import type { PodSpec } from 'kubernetes-types/core/v1.d.ts'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type ScratchNode, startScratchNode } from '../testing/scratch-node.ts'
import { container, eventsOf, isOver, isReady, leftovers, remove, waitsFor } from '../testing/scratch-pods.ts'

let node: ScratchNode
beforeAll(async () => {
  node = await startScratchNode(apiserver)
})
afterAll(() => node[Symbol.asyncDispose]())

const at = { namespace: 'default' }

describe('a Pod that cannot run', () => {
  test('because its command is not there', async () => {
    await node.create('no-command', { containers: [container('', { command: ['/no/such/command'] })] })
    const pod = await node.until('no-command', waitsFor('CrashLoopBackOff'))
    expect(pod.status?.containerStatuses?.[0]).toMatchObject({
      restartCount: 1,
      lastState: {
        terminated: { exitCode: 128, reason: 'StartError', message: expect.stringContaining('/no/such/command') },
      },
    })
    const attempt = [
      'Pulled Container image "caisson.dev/host" already present on machine',
      'Created Created container: main',
      expect.stringMatching(/^Failed Error: .*\/no\/such\/command/),
    ]
    expect(eventsOf(node, 'no-command')).toEqual([
      ...attempt,
      ...attempt,
      `BackOff Back-off restarting failed container main in pod no-command_default(${pod.metadata.uid})`,
    ])
    await remove(node, 'no-command')
  })

  test('because its image is not there', async () => {
    await node.create('no-image', {
      containers: [container('', { image: 'example.org/missing:1', imagePullPolicy: 'Never' })],
    })
    await node.until('no-image', waitsFor('ErrImageNeverPull'))
    await remove(node, 'no-image')
  })

  test('because its registry is not there', async () => {
    await node.create('no-registry', { containers: [container('', { image: 'registry.invalid/missing:1' })] })
    const pod = await node.until('no-registry', waitsFor('ErrImagePull'))
    expect(pod.status?.containerStatuses?.[0]?.state?.waiting?.message).toMatch(
      /^failed to pull image "registry.invalid\/missing:1": registry.invalid cannot be reached/,
    )
    await node.until('no-registry', waitsFor('ImagePullBackOff'))
    // The reason is for the log of the node alone.
    expect(node.errors.splice(0)).toEqual(
      expect.arrayContaining([
        expect.stringMatching(/^pulling image "registry.invalid\/missing:1" for pod default\/no-registry: .*ENOTFOUND/),
      ]),
    )
    await remove(node, 'no-registry')
  })

  test('because its image is not there, until another process has put it into the store', async () => {
    // Of this node's time nothing passes: only that the image has come can have it looked for again.
    const standing = Date.now()
    await using still = await startScratchNode(apiserver, { now: () => standing })
    const images = [
      ['no-image-yet', 'registry.invalid/later:1', 'IfNotPresent', 'ErrImagePull'],
      ['never-pulled', 'example.org/later:1', 'Never', 'ErrImageNeverPull'],
    ] as const
    for (const [name, image, imagePullPolicy, reason] of images) {
      await still.create(name, { containers: [container('exec sleep 1000', { image, imagePullPolicy })] })
      await still.until(name, waitsFor(reason))
    }
    const toolsDirectory = defaultToolsDirectory()
    await installTools(toolsDirectory, { tools: ['busybox'] })
    const archive = join(still.stateDirectory, 'later.tar')
    const script = fileURLToPath(new URL('../../../../examples/busybox-image.sh', import.meta.url))
    execFileSync(script, [archive], { env: { ...process.env, CAISSON_TOOLS_DIR: toolsDirectory } })
    const store = await openImageStore(still.stateDirectory)
    for (const [name, image] of images) {
      await store.import(archive, { name: image })
      await still.until(name, isReady)
    }
    for (const [name] of images) await remove(still, name)
  })

  test('because Pods of its namespace refer to too much besides, until some of these are gone', async () => {
    const referring = (index: number) => ({
      containers: [
        container('exec sleep 1000', {
          envFrom: Array.from({ length: 1_000 }, (_, each) => ({
            configMapRef: { name: `many-${index}-${each}`, optional: each > 0 },
          })),
        }),
      ],
    })
    const names = [0, 1, 2, 3].map((index) => `refers-${index}`)
    for (const [index, name] of names.entries()) await node.create(name, referring(index))
    for (const name of names) await node.until(name, waitsFor('CreateContainerConfigError'))
    await node.create('refers-more', referring(4))
    const refused = await node.until('refers-more', isOver)
    expect([refused.status?.phase, refused.status?.reason]).toEqual(['Failed', 'OutOfReferences'])
    expect(eventsOf(node, 'refers-more')).toEqual([expect.stringMatching(/^OutOfReferences .* at most 4000 together$/)])
    await remove(node, 'refers-more')
    await remove(node, 'refers-0')
    await node.create('refers-again', referring(4))
    await node.until('refers-again', waitsFor('CreateContainerConfigError'))
    // What it waits for is watched.
    await node.client.create(resources.configMaps, { metadata: { name: 'many-4-0' }, data: { key: 'value' } }, at)
    await node.until('refers-again', isReady)
    for (const name of [...names.slice(1), 'refers-again']) await remove(node, name)
  })

  test('because its configuration is not there, until it is', async () => {
    await node.create('no-config', {
      containers: [
        container('echo $A; exec sleep 1000', {
          env: [{ name: 'A', valueFrom: { configMapKeyRef: { name: 'later', key: 'a' } } }],
        }),
      ],
    })
    const pod = await node.until('no-config', waitsFor('CreateContainerConfigError'))
    expect(pod.status?.containerStatuses?.[0]?.state?.waiting?.message).toBe('configmap "later" not found')
    expect(eventsOf(node, 'no-config')).toEqual([
      'Pulled Container image "caisson.dev/host" already present on machine',
      'Failed Error: configmap "later" not found',
    ])
    await node.client.create(resources.configMaps, { metadata: { name: 'later' }, data: { a: 'now' } }, at)
    await node.until('no-config', isReady)
    await expect.poll(() => node.log('no-config')).toBe('now\n')
    await remove(node, 'no-config')
  })

  test('because the runtime cannot make its container, and is tried again ten seconds later, always', async () => {
    const mountPath = '/proc/self/fd'
    await node.create('no-create', {
      runtimeClassName: 'runc',
      volumes: [{ name: 'v', emptyDir: {} }],
      containers: [container('exec sleep 1000', { volumeMounts: [{ name: 'v', mountPath }] })],
    })
    const pod = await node.until('no-create', waitsFor('CreateContainerError'))
    const message = pod.status?.containerStatuses?.[0]?.state?.waiting?.message ?? ''
    expect(message).toContain(mountPath)
    // Where this machine keeps things is nobody's business but its own.
    expect(message).not.toContain(node.dataDirectory.replace(/\/kubelet$/, ''))
    expect(pod.status).toMatchObject({ phase: 'Pending', containerStatuses: [{ restartCount: 0, lastState: {} }] })
    expect(eventsOf(node, 'no-create')).toEqual([
      'Pulled Container image "caisson.dev/host" already present on machine',
      `Failed Error: ${message}`,
    ])
    await remove(node, 'no-create')
  })

  test('because the node has no profile of the name that it asks for', async () => {
    const seccompProfile = { type: 'Localhost', localhostProfile: 'nope.json' }
    await node.create('no-profile', {
      containers: [container('exec sleep 1000', { securityContext: { seccompProfile } })],
    })
    const pod = await node.until('no-profile', waitsFor('CreateContainerError'))
    const message =
      'container "main" asks for the seccomp profile "nope.json", and this node has none of its own: use RuntimeDefault'
    expect(pod.status?.containerStatuses?.[0]).toMatchObject({ state: { waiting: { message } }, restartCount: 0 })
    expect(eventsOf(node, 'no-profile')).toContain(`Failed Error: ${message}`)
    await remove(node, 'no-profile')
  })

  test('because it would have no users of its own where it asks for them, and does under gVisor', async () => {
    const own = (fields: object): Partial<PodSpec> =>
      ({ hostUsers: false, containers: [container('exec sleep 1000')], ...fields }) as Partial<PodSpec>
    await node.create('shared-users', own({ runtimeClassName: 'runc' }))
    const pod = await node.until('shared-users', waitsFor('FailedCreatePodSandBox'))
    const message =
      'can\'t set `spec.hostUsers: false`, RuntimeClass handler "runc" does not support user namespaces: use the RuntimeClass gvisor, whose users are none of the machine\'s'
    expect(pod.status?.containerStatuses?.[0]?.state?.waiting?.message).toBe(message)
    expect(eventsOf(node, 'shared-users')).toContain(`FailedCreatePodSandBox Failed to create pod sandbox: ${message}`)
    await remove(node, 'shared-users')
    await node.create('own-users', own({ runtimeClassName: 'gvisor' }))
    await node.until('own-users', isReady)
    await remove(node, 'own-users')
  })

  test('because its volume is not there, until it is', async () => {
    await node.create('no-volume', {
      volumes: [{ name: 'sec', secret: { secretName: 'coming' } }],
      containers: [container('exec sleep 1000', { volumeMounts: [{ name: 'sec', mountPath: '/sec' }] })],
    })
    await expect
      .poll(() => eventsOf(node, 'no-volume'))
      .toContain('FailedMount MountVolume.SetUp failed for volume "sec" : secret "coming" not found')
    await node.client.create(resources.secrets, { metadata: { name: 'coming' } }, at)
    await node.until('no-volume', isReady)
    await remove(node, 'no-volume')
  })

  test('because its runtime is not there', async () => {
    await node.create('no-runtime', { runtimeClassName: 'unknown', containers: [container('true')] })
    const pod = await node.until('no-runtime', waitsFor('FailedCreatePodSandBox'))
    expect(pod.status?.containerStatuses?.[0]?.state?.waiting?.message).toBe(
      'failed to get sandbox runtime: no runtime for "no-such-runtime" is configured: this node has runsc, runc, crun, runc-v2, kata, kata-fc',
    )
    expect((await node.runtime.list()).filter(({ spec }) => spec.id.includes(pod.metadata.uid ?? ''))).toEqual([])
    await remove(node, 'no-runtime')
  })

  test('because it asks for the host', async () => {
    await node.create('host', { hostNetwork: true, containers: [container('true')] })
    const pod = await node.until('host', waitsFor('FailedCreatePodSandBox'))
    expect(pod.status?.containerStatuses?.[0]?.state?.waiting?.message).toContain('asks for hostNetwork')
    await remove(node, 'host')
  })

  test('because it has more containers than a node takes', async () => {
    const containers = Array.from({ length: 2_000 }, (_, index) => ({ name: `c-${index}`, image: 'caisson.dev/host' }))
    await node.create('crowd', { containers })
    const pod = await node.until('crowd', isOver)
    expect(pod.status).toMatchObject({
      phase: 'Failed',
      reason: 'PodTooLarge',
      message: 'Pod was rejected: it has 2000 containers, and this node takes at most 100 in one Pod',
    })
    expect(pod.status?.containerStatuses).toBeUndefined()
    await expect
      .poll(() => eventsOf(node, 'crowd'))
      .toEqual(['PodTooLarge it has 2000 containers, and this node takes at most 100 in one Pod'])
    expect(await leftovers(node, pod)).toEqual([])
    await remove(node, 'crowd')
  })

  test('because it is for another system, of which Pod Security asks less', async () => {
    await node.create('windows', { os: { name: 'windows' }, containers: [container('true')] } as Partial<PodSpec>)
    const pod = await node.until('windows', isOver)
    const message = "Failed to admit pod as the OS field doesn't match node OS"
    expect(pod.status).toMatchObject({
      phase: 'Failed',
      reason: 'PodOSNotSupported',
      message: `Pod was rejected: ${message}`,
    })
    expect(pod.status?.containerStatuses).toBeUndefined()
    await expect.poll(() => eventsOf(node, 'windows')).toEqual([`PodOSNotSupported ${message}`])
    expect(await leftovers(node, pod)).toEqual([])
    await remove(node, 'windows')
  })

  test('because of a kernel parameter that is not its own', async () => {
    const sysctls = [{ name: 'kernel.msgmax', value: '65536' }]
    await node.create('unsafe', { securityContext: { sysctls }, containers: [container('true')] })
    const pod = await node.until('unsafe', isOver)
    const message = 'forbidden sysctl: "kernel.msgmax" not allowlisted'
    expect(pod.status).toMatchObject({
      phase: 'Failed',
      reason: 'SysctlForbidden',
      message: `Pod was rejected: ${message}`,
    })
    expect(pod.status?.containerStatuses).toBeUndefined()
    await expect.poll(() => eventsOf(node, 'unsafe')).toEqual([`SysctlForbidden ${message}`])
    expect(await leftovers(node, pod)).toEqual([])
    await remove(node, 'unsafe')
  })

  test('because it has no time left', async () => {
    await node.create('deadline', {
      activeDeadlineSeconds: 1,
      terminationGracePeriodSeconds: 1,
      containers: [container('exec sleep 1000')],
    })
    const pod = await node.until('deadline', isOver)
    expect(pod.status).toMatchObject({
      phase: 'Failed',
      reason: 'DeadlineExceeded',
      message: 'Pod was active on the node longer than the specified deadline',
    })
    await remove(node, 'deadline')
  })
})
