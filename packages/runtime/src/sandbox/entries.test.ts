import { expect, test } from 'vitest'
import type { ContainerState, ExitReason } from '../runtime.ts'
import { newContainerEntry, type SandboxEntry, sandboxView } from './entries.ts'

const RUNNING: ContainerState = { phase: 'running', pid: 1, startedAt: 1 }

function exited(reason: ExitReason): ContainerState {
  return { phase: 'exited', exitCode: 137, startedAt: 1, finishedAt: 2, reason }
}

function sandbox(options: { pause?: ContainerState; container: ContainerState }): SandboxEntry {
  const entry = (id: string, state: ContainerState): ReturnType<typeof newContainerEntry> =>
    newContainerEntry(id, `/containers/${id}`, { ociId: `${id}.c`, spec: undefined, imageId: '', state })
  return {
    record: { spec: { id: 'a', handler: 'runsc', shared: options.pause !== undefined }, ip: undefined, createdAt: 0 },
    containers: new Map([['a-1', entry('a-1', options.container)]]),
    pause: options.pause && entry('a.pause', options.pause),
    removing: undefined,
  } as SandboxEntry
}

test('a shared sandbox is gone with the first of its containers that says so, whichever is heard of first', () => {
  const alive = (pause: ContainerState | undefined, container: ContainerState): boolean =>
    sandboxView(sandbox({ ...(pause ? { pause } : {}), container })).alive
  expect([
    alive(RUNNING, RUNNING),
    alive(RUNNING, exited('error')),
    alive(RUNNING, exited('sentry-died')),
    alive(exited('sentry-died'), RUNNING),
    // Alone in it, a container takes its sentry along and the next one brings another.
    alive(undefined, exited('sentry-died')),
  ]).toEqual([true, true, false, false, true])
})
