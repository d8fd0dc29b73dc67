import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { PodObject } from '@caisson/client'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { aPod, NOW, second } from '../pods/observed-pod-fixtures.ts'
import { planPod } from '../pods/plan-pod.ts'
import { observeSystemPod } from './system-pods.ts'
import { createSystemProcesses, type SystemProcesses, type SystemProcessState } from './system-processes.ts'

let directory: string
let processes: SystemProcesses
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'caisson-system-'))
  processes = createSystemProcesses({ directory, now: () => NOW })
})
afterEach(() => rmSync(directory, { recursive: true }))

const state: SystemProcessState = { phase: 'running', pid: 7, startedAt: NOW, ready: true }
const register = () => processes.register({ namespace: 'system', app: 'router', state })

function podOf(metadata: { namespace: string; app: string }): PodObject {
  const pod = aPod()
  pod.metadata = { ...pod.metadata, namespace: metadata.namespace, labels: { app: metadata.app } }
  return pod
}

/** What the API knows after a pass. */
function seen(pod: PodObject, at = NOW): PodObject {
  const process = processes.of(pod)
  if (!process) throw new Error('it is no process')
  const { status } = planPod(observeSystemPod(pod, process, '192.0.2.1'), at)
  return status ? { ...pod, status } : pod
}

function summaryOf(pod: PodObject): object {
  const [container] = pod.status?.containerStatuses ?? []
  return {
    phase: pod.status?.phase,
    ready: pod.status?.conditions?.find(({ type }) => type === 'Ready')?.status,
    image: container?.image,
    restarts: container?.restartCount,
    state: container?.state,
    last: container?.lastState?.terminated?.reason,
  }
}

describe('Pods that are processes of the cluster', () => {
  test('are those of its own namespace alone, whatever image they name', () => {
    using _process = register()
    expect(processes.of(podOf({ namespace: 'system', app: 'router' }))).toBeDefined()
    expect(processes.of(podOf({ namespace: 'tenant', app: 'router' }))).toBe(undefined)
    expect(processes.of(podOf({ namespace: 'system', app: 'other' }))).toBe(undefined)
    expect(processes.of(aPod())).toBe(undefined)
  })

  test('are as the process is: its start, its readiness, its restarts', () => {
    using process = register()
    const running = { running: { startedAt: '2026-01-01T12:00:00Z' } }
    const first = seen(podOf({ namespace: 'system', app: 'router' }))
    const same = { phase: 'Running', image: 'caisson.dev/process', restarts: 0, state: running, last: undefined }
    expect(summaryOf(first)).toEqual({ ...same, ready: 'True' })
    expect(seen(first, NOW + second)).toEqual(first)

    process.update({ ...state, ready: false })
    const unready = seen(first)
    expect(summaryOf(unready)).toEqual({ ...same, ready: 'False' })

    process.update({ phase: 'exited', pid: 7, startedAt: NOW, finishedAt: NOW + second, exitCode: 1 })
    const ended = seen(unready, NOW + second)
    expect(summaryOf(ended)).toMatchObject({ phase: 'Running', ready: 'False', restarts: 0 })
    expect(summaryOf(ended)).toMatchObject({ state: { terminated: { exitCode: 1, reason: 'Error' } } })

    process.update({ ...state, pid: 8, startedAt: NOW + 2 * second })
    const again = seen(ended)
    expect(summaryOf(again)).toEqual({
      ...same,
      ready: 'True',
      restarts: 1,
      state: { running: { startedAt: '2026-01-01T12:00:02Z' } },
      last: 'Error',
    })
    expect(seen(again, NOW + 3 * second)).toEqual(again)
  })

  test('count a process that nobody saw the end of as restarted', () => {
    using process = register()
    const before = seen(podOf({ namespace: 'system', app: 'router' }))
    process.update({ ...state, pid: 9 })
    expect(summaryOf(seen(before))).toMatchObject({ ready: 'True', restarts: 1, last: 'ContainerStatusUnknown' })
  })

  test('tell who follows when they change', () => {
    using process = register()
    const told: unknown[] = []
    using _listener = processes.onChanged((changed) => told.push(changed.state))
    process.update({ ...state, ready: false })
    expect(told).toEqual([{ ...state, ready: false }])
  })
})
