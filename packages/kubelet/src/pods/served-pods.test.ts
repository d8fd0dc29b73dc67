import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { Informer, PodObject } from '@caisson/client'
import type { PodStatus } from 'kubernetes-types/core/v1.d.ts'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { podDirectories } from '../pod-directories.ts'
import type { ContainerRun } from './observed-pod.ts'
import { aPod, aRun, exited, running } from './observed-pod-fixtures.ts'
import { newPodMemory, type PodMemory } from './pod-memory.ts'
import { servedPods } from './served-pods.ts'

const identity = { uid: 'uid-1', name: 'web', namespace: 'default' }
let directory: string
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'caisson-served-'))
  for (const number of [0, 1, 2]) {
    const path = podDirectories(directory).log(identity, 'main', number)
    await mkdir(dirname(path), { recursive: true })
    await writeFile(path, '')
  }
})
afterAll(() => rm(directory, { recursive: true }))

function serve(pod: PodObject, runs: ContainerRun[] = [], more: Partial<PodMemory> = {}) {
  const memory = { ...newPodMemory(pod, { nextAttempt: 0, hasDirectory: false }), seen: runs, ...more }
  return servedFrom(pod, memory, () => undefined).find('default', 'web')
}

function servedFrom(pod: PodObject, memory: PodMemory, onListen: (look: (uid: string) => void) => void) {
  const nothing = { [Symbol.dispose]() {} }
  const get = (key: string): PodObject | undefined => (key === 'default/web' ? pod : undefined)
  return servedPods({
    informer: { get, handle: () => nothing } as unknown as Informer<PodObject>,
    engine: {
      memory: () => memory,
      onSeen(look) {
        onListen(look)
        return nothing
      },
    },
    runtime: { onExit: () => nothing },
    directories: podDirectories(directory),
    sources: { secret: async () => undefined },
  })
}

test('who attaches waits for what was restored and has yet to go on', async () => {
  const pod = aPod()
  const memory = newPodMemory(pod, { nextAttempt: 0, hasDirectory: false })
  memory.seen = [aRun({ phase: 'created' })]
  const looks: Array<(uid: string) => void> = []
  const pods = servedFrom(pod, memory, (look) => looks.push(look))
  const order: string[] = []
  const asked = { namespace: 'default', name: 'web', container: 'main' }
  const started = pods.whenStarted?.(asked, new AbortController().signal).then(() => order.push('attached'))
  for (const look of looks) look('uid-1')
  await new Promise(setImmediate)
  order.push('restored')
  memory.seen = [aRun(running())]
  for (const look of looks) look('uid-1')
  await started
  expect(order).toEqual(['restored', 'attached'])
})

const waiting = (reason: string): PodStatus => ({
  containerStatuses: [
    { name: 'main', image: '', imageID: '', ready: false, restartCount: 0, state: { waiting: { reason } } },
  ],
})
const ended = { exitCode: 1, containerID: 'caisson://x' }

describe('the log of a container', () => {
  test.each<[name: string, status: PodStatus | undefined, runs: ContainerRun[], previous: boolean, expected: string]>([
    ['that runs', undefined, [aRun(running(), { restartCount: 1 })], false, '1.log, written to'],
    ['that has ended', undefined, [aRun(exited(0))], false, '0.log'],
    ['that nobody knows', undefined, [], false, 'container "main" in pod "web" is not available'],
    [
      'that is being made',
      waiting('ContainerCreating'),
      [],
      false,
      'container "main" in pod "web" is waiting to start: ContainerCreating',
    ],
    [
      'whose image is missing',
      waiting('ErrImagePull'),
      [],
      false,
      `container "main" in pod "web" is waiting to start: image can't be pulled`,
    ],
    [
      'whose image is still missing',
      waiting('ImagePullBackOff'),
      [],
      false,
      'container "main" in pod "web" is waiting to start: trying and failing to pull image',
    ],
    [
      'of a Pod that is over',
      {
        containerStatuses: [
          { name: 'main', image: '', imageID: '', ready: false, restartCount: 2, state: { terminated: ended } },
        ],
      },
      [],
      false,
      '2.log',
    ],
    [
      'that waits to be started again',
      {
        containerStatuses: [
          {
            name: 'main',
            image: '',
            imageID: '',
            ready: false,
            restartCount: 1,
            state: { waiting: {} },
            lastState: { terminated: ended },
          },
        ],
      },
      [],
      false,
      '1.log',
    ],
    [
      'before one that is the first',
      waiting('x'),
      [aRun(running())],
      true,
      'previous terminated container "main" in pod "web" not found',
    ],
    [
      'before one that runs',
      {
        containerStatuses: [
          {
            name: 'main',
            image: '',
            imageID: '',
            ready: true,
            restartCount: 2,
            state: { running: {} },
            lastState: { terminated: ended },
          },
        ],
      },
      [aRun(running(), { restartCount: 2 })],
      true,
      '1.log',
    ],
    [
      'before one that waits',
      {
        containerStatuses: [
          {
            name: 'main',
            image: '',
            imageID: '',
            ready: false,
            restartCount: 2,
            state: { waiting: {} },
            lastState: { terminated: ended },
          },
        ],
      },
      [],
      true,
      '2.log',
    ],
    [
      'that was removed',
      {
        containerStatuses: [
          { name: 'main', image: '', imageID: '', ready: false, restartCount: 9, state: { terminated: ended } },
        ],
      },
      [],
      false,
      'container "main" in pod "web" has no log',
    ],
  ])('%s', (_name, status, runs, previous, expected) => {
    const log = serve(aPod({ ...(status && { status }) }), runs)?.log('main', previous)
    const found = typeof log === 'object' ? `${log.path.split('/').at(-1)}${log.writing() ? ', written to' : ''}` : log
    expect(found).toBe(expected)
  })
})

describe('containers that clients may enter', () => {
  test('are those that run; attach also reaches one that has ended and waits for its client', () => {
    const pod = aPod({
      spec: {
        containers: [
          { name: 'main', tty: true },
          { name: 'once', stdinOnce: true },
        ],
      },
    })
    const served = serve(pod, [aRun(exited(0)), aRun(exited(0), { name: 'once' })])
    expect([
      served?.runningContainer('main'),
      served?.attachableContainer('main'),
      served?.runningContainer('once'),
      served?.attachableContainer('once'),
    ]).toEqual([undefined, undefined, undefined, { id: 'uid-1-once-0', tty: false }])
    expect(serve(pod, [aRun(running())])?.runningContainer('main')).toEqual({ id: 'uid-1-main-0', tty: true })
  })

  test('are not those of an earlier sandbox', () => {
    expect(serve(aPod(), [aRun(exited(0), { past: true })])?.attachableContainer('main')).toBeUndefined()
  })

  test('are attached to while they are being started', () => {
    const starting = new Map([['main', 'next']])
    expect(serve(aPod(), [aRun(exited(0))], { starting })?.attachableContainer('main')).toEqual({
      id: 'next',
      tty: false,
    })
  })
})
