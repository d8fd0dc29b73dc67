/**
 * Pods of the handler `fake`: Ready at once, with nothing behind them. What is known of one is in its status, so that
 * ten thousand of them cost an address each.
 */
import type { PodObject } from '@caisson/client'
import {
  barePod,
  type ContainerRun,
  initContainers,
  isSidecar,
  type ObservedPod,
  specOf,
  statusesOf,
} from './observed-pod.ts'
import type { PodObserverOptions } from './pod-observer.ts'

/** 198.18.0.0/15 is set aside for benchmarks: nothing on the net has such an address. */
const FIRST_ADDRESS = (198 << 24) + (18 << 16) + 1
const ADDRESSES = 2 ** 17 - 2

export interface FakePods {
  observe(pod: PodObject): ObservedPod
  /** Whether it has been observed, and not been forgotten since. */
  has(uid: string): boolean
  forget(uid: string): void
}

export function createFakePods(options: {
  hostIp: string
  rejection: PodObserverOptions['rejection']
  now: () => number
  present: readonly PodObject[]
}): FakePods {
  const addresses = new Map<string, string>()
  const taken = new Set<string>()
  let next = 0
  for (const { metadata, status } of options.present) {
    if (metadata.uid !== undefined && status?.podIP !== undefined) take(metadata.uid, status.podIP)
  }

  function take(uid: string, address: string): string {
    addresses.set(uid, address)
    taken.add(address)
    return address
  }

  function addressOf(uid: string): string {
    const known = addresses.get(uid)
    if (known !== undefined) return known
    for (let tries = 0; tries < ADDRESSES; tries++) {
      const address = format(FIRST_ADDRESS + (next++ % ADDRESSES))
      if (!taken.has(address)) return take(uid, address)
    }
    throw new Error(`all ${ADDRESSES} addresses of fake Pods are in use`)
  }

  return {
    observe(pod) {
      const uid = pod.metadata.uid ?? ''
      const ending = pod.metadata.deletionTimestamp !== undefined
      const refusal = options.rejection(pod)
      const present = ending || refusal ? [] : runs(pod, options.now())
      return {
        ...barePod(pod, options.hostIp),
        refusal,
        sandbox: refusal ? undefined : { id: uid, attempt: 0, shared: false, alive: true, ip: addressOf(uid) },
        runs: present,
        // There is nothing to ask, so that all is well.
        health: new Map(present.map(({ id = '' }) => [id, { started: true, ready: true, failed: undefined }])),
      }
    },
    has: (uid) => addresses.has(uid),
    forget(uid) {
      const address = addresses.get(uid)
      if (address === undefined) return
      addresses.delete(uid)
      taken.delete(address)
    },
  }
}

/** Init containers have done their work, the others run since they were first seen. */
function runs(pod: PodObject, now: number): ContainerRun[] {
  const statuses = statusesOf(pod)
  const over = isOver(pod, now)
  const inits = initContainers(pod).map((container) => ({ container, ends: !isSidecar(container) }))
  const mains = specOf(pod).containers.map((container) => ({ container, ends: false }))
  return [...inits, ...mains].map(({ container, ends }): ContainerRun => {
    const status = statuses.find(({ name }) => name === container.name)
    const startedAt = Date.parse(status?.state?.running?.startedAt ?? status?.state?.terminated?.startedAt ?? '') || now
    return {
      id: `${pod.metadata.uid}-${container.name}`,
      name: container.name,
      past: false,
      restartCount: 0,
      image: container.image ?? '',
      imageId: '',
      state:
        ends || over
          ? { phase: 'exited', exitCode: 0, startedAt, finishedAt: startedAt, reason: 'completed' }
          : { phase: 'running', pid: 0, startedAt },
      user: undefined,
      terminationMessage: undefined,
      backOffMs: 0,
    }
  })
}

/** Its deadline has passed, or it had ended before: then nothing of it runs. */
function isOver(pod: PodObject, now: number): boolean {
  const { phase, startTime } = pod.status ?? {}
  if (phase === 'Succeeded' || phase === 'Failed') return true
  const seconds = specOf(pod).activeDeadlineSeconds
  return seconds !== undefined && startTime !== undefined && now >= Date.parse(startTime) + seconds * 1000
}

function format(address: number): string {
  return [24, 16, 8, 0].map((shift) => (address >>> shift) & 0xff).join('.')
}
