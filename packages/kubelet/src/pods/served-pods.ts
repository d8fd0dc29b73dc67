/** The node's Pods as its API serves them: which containers run, and where their logs are. */
import { existsSync } from 'node:fs'
import { AGENTS_GROUP, controllerOf, referenceGroup } from '@caisson/api'
import type { Informer, PodObject } from '@caisson/client'
import type { Runtime } from '@caisson/runtime'
import type { ContainerStatus } from 'kubernetes-types/core/v1.d.ts'
import { claimedEnvironment } from '../containers/claimed-environment.ts'
import type { PodDirectories } from '../pod-directories.ts'
import type { PodSources } from '../pod-sources.ts'
import type { LogSource } from '../streaming/container-log.ts'
import type { NodeApiOptions } from '../streaming/node-api.ts'
import type { ServedContainer, ServedPod } from '../streaming/served-pod.ts'
import type { ShownProcess, SystemProcesses } from '../system/system-processes.ts'
import type { FakePods } from './fake-pods.ts'
import { type ContainerRun, findContainer, isRunning, statusesOf } from './observed-pod.ts'
import type { PodEngine } from './pod-engine.ts'

export interface ServedPodsOptions {
  informer: Informer<PodObject>
  engine: Pick<PodEngine, 'memory' | 'onSeen'>
  runtime: Pick<Runtime, 'onExit'>
  directories: PodDirectories
  sources: Pick<PodSources, 'secret'>
  processes?: Pick<SystemProcesses, 'of'> | undefined
  fakePods?: Pick<FakePods, 'has'> | undefined
}

/** The API server may know of a Pod a moment before this node does. */
const UNKNOWN_POD_PATIENCE_MS = 2_000
const START_PATIENCE_MS = 300_000

export function servedPods({
  informer,
  engine,
  runtime,
  directories,
  sources,
  processes,
  fakePods,
}: ServedPodsOptions): NodeApiOptions['pods'] {
  function serve(pod: PodObject): ServedPod {
    const { uid = '', name = '', namespace = '' } = pod.metadata
    const memory = () => engine.memory(uid)
    const latest = (container: string) => memory()?.seen.find((run) => run.name === container && !run.past)
    function serveRun(container: string, run: ContainerRun | undefined): ServedContainer | undefined {
      const id = run?.id
      return id === undefined ? undefined : { id, tty: findContainer(pod, container)?.tty ?? false }
    }
    return {
      uid,
      name,
      namespace,
      ...sandboxOf(pod),
      ...(fakePods?.has(uid) && {
        noCommands: `pod ${name} has the handler fake: nothing runs in it that a command could be executed in or attached to`,
      }),
      get sandboxId() {
        return memory()?.sandboxId
      },
      hasContainer: (container) => findContainer(pod, container) !== undefined,
      environment: (container) => claimedEnvironment(pod, container, sources),
      runningContainer(name) {
        const run = latest(name)
        return isRunning(run) ? serveRun(name, run) : undefined
      },
      attachableContainer(name) {
        const starting = memory()?.starting.get(name)
        if (starting !== undefined) return { id: starting, tty: findContainer(pod, name)?.tty ?? false }
        const run = latest(name)
        const waitsForClient = findContainer(pod, name)?.stdinOnce
        return isRunning(run) || waitsForClient ? serveRun(name, run) : undefined
      },
      log(container, previous) {
        const number = loggedRun(pod, container, { previous, run: latest(container) })
        if (typeof number === 'string') return number
        const path = directories.log({ uid, name, namespace }, container, number)
        if (!existsSync(path)) return `container ${JSON.stringify(container)} in pod ${JSON.stringify(name)} has no log`
        return logSource(path, { run: () => latest(container), number })
      },
    }
  }

  function logSource(
    path: string,
    { run, number }: { run: () => ContainerRun | undefined; number: number },
  ): LogSource {
    const current = run()
    let writing = isRunning(current) && current.restartCount === number
    return {
      path,
      writing: () => writing,
      onStopped(listener) {
        const exits = runtime.onExit(({ spec }) => {
          if (spec.id !== current?.id) return
          writing = false
          listener()
        })
        // It may have ended between the two looks at it.
        const now = run()
        if (!isRunning(now) || now.id !== current?.id) writing = false
        return exits
      },
    }
  }

  /** Whether an attach has to wait no longer: it can be served, or refused for a reason. */
  function isDecided(pod: PodObject, container: string): boolean {
    const memory = engine.memory(pod.metadata.uid ?? '')
    if (pod.metadata.deletionTimestamp !== undefined || memory?.setback || processes?.of(pod)) return true
    if (fakePods?.has(pod.metadata.uid ?? '')) return true
    if (!findContainer(pod, container)) return true
    if (memory?.starting.has(container)) return true
    // What was restored and waits for the others has yet to go on.
    const isBegun = memory?.seen.some(({ name, state }) => name === container && state.phase !== 'created')
    return isBegun || memory?.failures.has(container) || false
  }

  async function whenStarted(
    { namespace, name, container }: { namespace: string; name: string; container: string },
    signal: AbortSignal,
  ): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    let wasThere = false
    const look = (): void => {
      const pod = informer.get(`${namespace}/${name}`)
      wasThere ||= pod !== undefined
      if (signal.aborted || (pod ? isDecided(pod, container) : wasThere)) resolve()
    }
    using watches = new DisposableStack()
    watches.use(engine.onSeen(look))
    watches.use(informer.handle({ added: look, updated: look, deleted: look }))
    const unknown = setTimeout(() => wasThere || resolve(), UNKNOWN_POD_PATIENCE_MS)
    const late = setTimeout(resolve, START_PATIENCE_MS)
    watches.defer(() => [unknown, late].forEach(clearTimeout))
    signal.addEventListener('abort', look)
    watches.defer(() => signal.removeEventListener('abort', look))
    look()
    await promise
  }

  return {
    whenStarted,
    find(namespace, name) {
      const pod = informer.get(`${namespace}/${name}`)
      const process = pod && processes?.of(pod)
      return process ? serveProcess(pod, process) : pod && serve(pod)
    },
  }
}

function sandboxOf(pod: PodObject): Pick<ServedPod, 'sandbox'> {
  const owner = controllerOf(pod)
  if (owner?.kind !== 'Sandbox' || referenceGroup(owner) !== AGENTS_GROUP) return {}
  return { sandbox: { namespace: pod.metadata.namespace ?? '', name: owner.name, uid: owner.uid } }
}

function serveProcess(pod: PodObject, process: ShownProcess): ServedPod {
  const { uid = '', name = '', namespace = '' } = pod.metadata
  return {
    uid,
    name,
    namespace,
    sandboxId: undefined,
    ...(process.connect && { connect: process.connect }),
    hasContainer: (container) => findContainer(pod, container) !== undefined,
    noCommands: `pod ${name} is a process of the cluster itself: it has logs, and nothing can be executed in it or attached to it`,
    runningContainer: () => undefined,
    attachableContainer: () => undefined,
    log: (_container, previous) => process.logSource(previous),
  }
}

/** The number of the run whose log is wanted; a string says, in kubelet's words, why there is none. */
function loggedRun(
  pod: PodObject,
  name: string,
  { previous, run }: { previous: boolean; run: ContainerRun | undefined },
): number | string {
  const where = `container ${JSON.stringify(name)} in pod ${JSON.stringify(pod.metadata.name)}`
  // What runs now may be newer than the status.
  if (run && !previous) return run.restartCount
  const status = statusesOf(pod).find((each) => each.name === name)
  if (!status) return `${where} is not available`
  const last = status.lastState?.terminated
  if (previous) {
    if (!last) return `previous terminated ${where} not found`
    return previousNumber(status)
  }
  if (status.state?.running || status.state?.terminated) return status.restartCount
  if (last) return status.restartCount
  const reason = status.state?.waiting?.reason
  if (reason === 'ErrImagePull') return `${where} is waiting to start: image can't be pulled`
  if (reason === 'ImagePullBackOff') return `${where} is waiting to start: trying and failing to pull image`
  return reason === undefined ? `${where} is waiting to start - no logs yet` : `${where} is waiting to start: ${reason}`
}

/** While a container waits, its last state is that of its last run. */
function previousNumber({ state, restartCount }: ContainerStatus): number {
  return state?.waiting ? restartCount : restartCount - 1
}
