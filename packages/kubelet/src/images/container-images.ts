/** The images of containers: found in the store or pulled, as policy and pull secrets say, in kubelet's words. */
import type { PodObject } from '@caisson/client'
import {
  HOST_IMAGE,
  hiddenDetail,
  type Image,
  type ImageStore,
  type MarkedCredential,
  normalizeReference,
  parseReference,
  RuntimeError,
  type RuntimeErrorCode,
} from '@caisson/runtime'
import type { Container } from 'kubernetes-types/core/v1.d.ts'
import type { PodSources } from '../pod-sources.ts'
import type { PodEvents } from '../pods/pod-events.ts'
import { hasCome, retryDelay } from '../pods/restart-back-off.ts'
import { createImagePuller } from './image-puller.ts'
import { pullCredentials } from './pull-credentials.ts'

/** What is going on with a container's image, remembered with its Pod. */
export type ImageState =
  | { kind: 'pulling'; stop: AbortController; failed: FailedPull | undefined }
  | { kind: 'pulled'; image: Image }
  | (FailedPull & { kind: 'failed' })

interface FailedPull {
  reason: string
  message: string
  /** In a row. */
  count: number
  /** The registry is not asked again before, ms since the epoch. */
  pullAt: number
  /** Nobody answered. */
  unreachable: boolean
  told: 'nothing' | 'failure' | 'back-off'
}

export type ImageOutcome =
  | { kind: 'present'; image: Image }
  /** `onPulled` will be called. */
  | { kind: 'pulling' }
  /** `reason` is the one of the container's waiting state. */
  | { kind: 'missing'; reason: string; message: string }

/** Disposing gives up every pull. */
export interface ContainerImages extends AsyncDisposable {
  /** @param quiet say nothing of an image that is there, because that was said before */
  find(request: {
    pod: PodObject
    container: Container
    states: Map<string, ImageState>
    quiet: boolean
  }): Promise<ImageOutcome>
  /** Gives up what is being pulled for a Pod. */
  cancel(states: Map<string, ImageState>): void
}

/** kubelet's. */
const PULL_BACK_OFF = { first: 10_000, most: 300_000 }
/** How soon `Always` is content with what is here, and for how long it then does not ask a registry that is not there. */
const REACH_MS = 3_000
const UNREACHABLE_MS = 60_000

/** Nothing was asked and nothing has answered. */
const NOT_THERE = new Set<RuntimeErrorCode>(['registry-unreachable', 'registry-out-of-reach'])

export interface ContainerImagesOptions {
  images: Pick<ImageStore, 'get' | 'pull'>
  /** Whether Pods may have the view of this machine for an image; they may not unless given. */
  hostImage?: boolean
  sources: Pick<PodSources, 'secret'>
  events: PodEvents
  now: () => number
  /** A pull for one of the Pod's containers has ended. */
  onPulled(uid: string): void
  onError(error: unknown, where: string): void
}

export function createContainerImages(options: ContainerImagesOptions): ContainerImages {
  const { images, sources, events, now, onPulled, onError } = options
  const puller = createImagePuller(images)
  /** By registry, until when it is taken for not there. */
  const unreachable = new Map<string, number>()
  let closed = false

  interface Request {
    pod: PodObject
    container: Container
    states: Map<string, ImageState>
    quoted: string
    say(type: 'Normal' | 'Warning', reason: string, message: string): void
  }

  /** In the store, and for this Pod to use. */
  interface Local {
    image: Image | undefined
    credentials: (server: string, repository: string) => Promise<MarkedCredential[]>
    fingerprint: string
  }

  async function lookLocally({ pod, container, say }: Request): Promise<Local> {
    const name = container.image ?? ''
    const { keyring, fingerprint, missing } = await pullCredentials(pod, sources)
    const image = await images.get(name)
    const { registry, repository } = parseReference(name)
    const marks = new Set(keyring.lookup(registry, repository).flatMap((credential) => credential.marks ?? []))
    const allowed = image && (image.grant === 'everyone' || image.grant.some((mark) => marks.has(mark)))
    if (missing.length > 0 && !allowed)
      say(
        'Warning',
        'FailedToRetrieveImagePullSecret',
        `Unable to retrieve some image pull secrets (${missing.join(', ')}); attempting to pull the image may not succeed.`,
      )
    return {
      image: allowed ? image : undefined,
      credentials: async (server, path) => keyring.lookup(server, path),
      fingerprint,
    }
  }

  async function find(given: Omit<Request, 'quoted' | 'say'> & { quiet: boolean }): Promise<ImageOutcome> {
    const { pod, container, states, quiet } = given
    const quoted = JSON.stringify(container.image ?? '')
    const say: Request['say'] = (type, reason, message) =>
      events.aboutContainer(pod, container, { type, reason, message })
    const request = { pod, container, states, quoted, say }
    const state = states.get(container.name)
    if (state?.kind === 'pulling') return { kind: 'pulling' }
    if (state?.kind === 'pulled') {
      states.delete(container.name)
      return { kind: 'present', image: state.image }
    }
    const invalid = invalidName(container)
    if (invalid !== undefined || (!options.hostImage && isHostImage(container))) {
      const message =
        invalid === undefined
          ? `Image ${quoted} is a view of the machine itself, which only a machine's own cluster has`
          : `Failed to apply default image tag ${quoted}: ${invalid}`
      if (!quiet) sayFailure(request, { reason: 'InvalidImageName', event: 'InspectFailed', message })
      return { kind: 'missing', reason: 'InvalidImageName', message }
    }
    const local = await lookLocally(quiet ? { ...request, say: () => undefined } : request)
    const policy = container.imagePullPolicy ?? 'IfNotPresent'
    if (local.image && (policy !== 'Always' || local.image.name === HOST_IMAGE)) {
      states.delete(container.name)
      if (!quiet) say('Normal', 'Pulled', `Container image ${quoted} already present on machine`)
      return { kind: 'present', image: local.image }
    }
    if (policy === 'Never') {
      const message = `Container image ${quoted} is not present with pull policy of Never`
      if (!quiet) sayFailure(request, { reason: 'ErrImageNeverPull', event: 'ErrImageNeverPull', message })
      return { kind: 'missing', reason: 'ErrImageNeverPull', message }
    }
    const backsOff = state !== undefined && !hasCome(state.pullAt, now())
    if (local.image && (isUnreachable(container) || (backsOff && state.unreachable)))
      return useLocal(request, local.image)
    if (backsOff) return waitForRegistry(request, state)
    beginPull(request, local, state)
    return { kind: 'pulling' }
  }

  function isUnreachable({ image = '' }: Container): boolean {
    const { registry } = parseReference(image)
    const until = unreachable.get(registry) ?? 0
    return !hasCome(until, now())
  }

  /** Only for as long as it counts: anybody names registries, as many as they like. */
  function rememberUnreachable(registry: string): void {
    for (const [other, until] of unreachable) if (hasCome(until, now())) unreachable.delete(other)
    unreachable.set(registry, now() + UNREACHABLE_MS)
  }

  function useLocal({ container, states, quoted, say }: Request, image: Image): ImageOutcome {
    states.delete(container.name)
    const { registry } = parseReference(container.image ?? '')
    say(
      'Warning',
      'ImageNotRefreshed',
      `Container image ${quoted} was not pulled again, as imagePullPolicy Always asks: ${registry} cannot be reached; the image already present on machine is used`,
    )
    return { kind: 'present', image }
  }

  /** The failure first, as kubelet says it, and then that it waits. */
  function waitForRegistry({ quoted, say }: Request, failed: FailedPull): ImageOutcome {
    const { reason, message } = failed
    if (failed.told === 'nothing') {
      failed.told = 'failure'
      return { kind: 'missing', reason, message }
    }
    const backOff = `Back-off pulling image ${quoted}`
    if (failed.told === 'failure') {
      failed.told = 'back-off'
      say('Normal', 'BackOff', backOff)
      say('Warning', 'Failed', 'Error: ImagePullBackOff')
    }
    return { kind: 'missing', reason: 'ImagePullBackOff', message: `${backOff}: ${reason}: ${message}` }
  }

  function beginPull(request: Request, local: Local, failed: FailedPull | undefined): void {
    const { pod, container, states, quoted, say } = request
    const stop = new AbortController()
    states.set(container.name, { kind: 'pulling', stop, failed })
    say('Normal', 'Pulling', `Pulling image ${quoted}`)
    const began = performance.now()
    const isOver = (): boolean => closed || stop.signal.aborted
    const pulled = puller.pull({
      name: normalizeReference(container.image ?? ''),
      namespace: pod.metadata.namespace ?? '',
      fingerprint: local.fingerprint,
      credentials: local.credentials,
      ...(local.image && { reachWithinMs: REACH_MS }),
      signal: stop.signal,
    })
    const end = async (): Promise<void> => {
      let state: ImageState
      try {
        const { image, pullMs } = await pulled
        if (isOver()) return
        const [alone, all] = [formatDuration(pullMs), formatDuration(performance.now() - began)]
        say(
          'Normal',
          'Pulled',
          `Successfully pulled image ${quoted} in ${alone} (${all} including waiting). Image size: ${image.sizeBytes} bytes.`,
        )
        state = { kind: 'pulled', image }
      } catch (error) {
        if (isOver()) return
        state = pullFailed(request, { error, failed, local })
      }
      states.set(container.name, state)
      onPulled(pod.metadata.uid ?? '')
    }
    void end()
  }

  function pullFailed(
    request: Request,
    { error, failed, local }: { error: unknown; failed: FailedPull | undefined; local: Local },
  ): ImageState {
    const { pod, container, quoted } = request
    const { told, detail } = tellable(error)
    if (detail !== undefined)
      onError(new Error(detail), `pulling image ${quoted} for pod ${pod.metadata.namespace}/${pod.metadata.name}`)
    const isUnreachable = error instanceof RuntimeError && NOT_THERE.has(error.code)
    if (isUnreachable) rememberUnreachable(parseReference(container.image ?? '').registry)
    const { reason, message } = waitingFor(container.image ?? '', error, told)
    const count = (failed?.count ?? 0) + 1
    // With what is here instead, that it failed is no failure.
    if (!isUnreachable || !local.image)
      sayFailure(request, {
        reason,
        event: 'Failed',
        message: `Failed to pull image ${quoted}: ${told}`,
      })
    const pullAt = now() + retryDelay(count, PULL_BACK_OFF)
    return { kind: 'failed', reason, message, count, pullAt, unreachable: isUnreachable, told: 'nothing' }
  }

  function sayFailure(
    { say }: Request,
    { reason, event, message }: { reason: string; event: string; message: string },
  ): void {
    say('Warning', event, message)
    say('Warning', 'Failed', `Error: ${reason}`)
  }

  return {
    [Symbol.asyncDispose]() {
      closed = true
      return puller[Symbol.asyncDispose]()
    },
    find,
    cancel(states) {
      for (const [name, state] of states) {
        if (state.kind !== 'pulling') continue
        state.stop.abort()
        states.delete(name)
      }
    },
  }
}

/** What a Pod's owner is told of a failure, and what only the node's log: where this machine keeps things, for one. */
function tellable(error: unknown): { told: string; detail?: string | undefined } {
  const { message, code, syscall } = error as NodeJS.ErrnoException
  if (syscall === undefined) return { told: message, detail: hiddenDetail(error) }
  return { told: `the node cannot store it (${code})`, detail: message }
}

/** One that is not there at all is an ErrImagePull like any other, as containerd reports it; one that answers is unavailable. */
function waitingFor(image: string, error: unknown, message: string): { reason: string; message: string } {
  if (!(error instanceof RuntimeError) || error.code !== 'registry-unavailable')
    return { reason: 'ErrImagePull', message: `failed to pull image ${JSON.stringify(image)}: ${message}` }
  return {
    reason: 'RegistryUnavailable',
    message: `image pull failed for ${image} because the registry is unavailable: ${message}`,
  }
}

/** Why no image can have this name; undefined where one can. */
function invalidName({ image = '' }: Container): string | undefined {
  try {
    parseReference(image)
    return undefined
  } catch (error) {
    return (error as Error).message
  }
}

function isHostImage({ image = '' }: Container): boolean {
  return normalizeReference(image) === HOST_IMAGE
}

/** As Go writes a duration that was cut to milliseconds: `345ms`, `1.2s`, `1m2.5s`. */
function formatDuration(ms: number): string {
  const whole = Math.trunc(ms)
  if (whole < 1000) return `${whole}ms`
  const seconds = `${Number(((whole % 60_000) / 1000).toFixed(3))}s`
  return whole < 60_000 ? seconds : `${Math.floor(whole / 60_000)}m${seconds}`
}
