/** Events as controllers and kubelets record them, with client-go's way of counting instead of repeating. */

import type { ObjectReference } from 'kubernetes-types/core/v1.d.ts'
import { isApiError, isNotFound } from './api-error.ts'
import type { Client } from './client.ts'
import { resources } from './core-resources.ts'
import { abortableDelay } from './delay.ts'
import { createEventCorrelator, type EventObject } from './event-correlator.ts'
import type { AnyObject } from './resource.ts'

export interface EventInput {
  type: 'Normal' | 'Warning'
  /** One word in UpperCamelCase: why. */
  reason: string
  message: string
  annotations?: Record<string, string>
  /** When it happened, ms since the epoch; now unless said. */
  at?: number
}

export interface EventRecorderOptions {
  /** Such as `sandbox-controller`. */
  component: string
  /** The node, of events of a node agent. */
  host?: string
  /** ms since the epoch. */
  now?: () => number
  /** ms between attempts to write when the server is away; 10 s. */
  retryDelay?: number
  /** ms that an event may wait for others before they are written, so that what it tells of goes first; 0. */
  gather?: number
  onError?: (error: unknown) => void
}

export interface EventRecorder extends AsyncDisposable {
  /** Writes an Event about the object, soon and without being waited for. Too many and too similar ones become fewer. */
  record(about: AnyObject | ObjectReference, event: EventInput): void
  /** Resolves when everything that was recorded until now is written, or given up. */
  flush(): Promise<void>
}

/** Events that wait; more are dropped, as in client-go. */
const QUEUE_LIMIT = 1000
const ATTEMPTS = 12
const RETRY_MS = 10_000
/** Longer ones help nobody, and come from commands that failed loudly. */
const MESSAGE_LIMIT = 4096

export function createEventRecorder(client: Client, options: EventRecorderOptions): EventRecorder {
  const { component, host = '', now = Date.now, retryDelay = RETRY_MS, gather = 0 } = options
  const correlator = createEventCorrelator()
  const stop = new AbortController()
  const queue: EventObject[] = []
  let working: Promise<void> | undefined
  /** Ends the gathering. */
  let hurry: (() => void) | undefined

  function gathered(): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, gather)
      hurry = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }

  async function work(): Promise<void> {
    if (gather > 0) await gathered()
    for (let event = queue.shift(); event; event = queue.shift()) {
      try {
        await write(event)
      } catch (error) {
        if (!stop.signal.aborted) options.onError?.(error)
      }
    }
    working = undefined
  }

  async function write(event: EventObject): Promise<void> {
    const plan = correlator.plan(event, now())
    if (!plan) return
    for (let attempt = 1; ; attempt++) {
      try {
        correlator.written(plan.key, await send(plan.event, plan.patch))
        return
      } catch (error) {
        // The server has read it and said no: the same again would change nothing.
        const refused = isApiError(error) && error.code < 500 && error.code !== 429
        if (refused || attempt === ATTEMPTS || stop.signal.aborted) throw error
        await abortableDelay(retryDelay * (0.5 + Math.random()), stop.signal)
      }
    }
  }

  async function send(event: EventObject, patch: object | undefined): Promise<EventObject> {
    const { name = '', namespace } = event.metadata
    const { signal } = stop
    if (patch) {
      try {
        return await client.patch(resources.events, name, patch, { namespace, signal })
      } catch (error) {
        // Events live for an hour; what is counted may live longer.
        if (!isNotFound(error)) throw error
      }
    }
    const { resourceVersion: _, uid: __, ...metadata } = event.metadata
    return client.create(resources.events, { ...event, metadata }, { signal })
  }

  return {
    record(about, { type, reason, message, annotations, at = now() }) {
      if (stop.signal.aborted || queue.length >= QUEUE_LIMIT) return
      const involvedObject = referenceTo(about)
      const time = kubernetesTime(at)
      queue.push({
        apiVersion: 'v1',
        kind: 'Event',
        metadata: {
          name: eventName(involvedObject.name ?? '', at),
          namespace: involvedObject.namespace || 'default',
          ...(annotations && { annotations }),
        },
        involvedObject,
        type,
        reason,
        message: message.length > MESSAGE_LIMIT ? `${message.slice(0, MESSAGE_LIMIT - 3)}...` : message,
        source: { component, ...(host && { host }) },
        reportingComponent: component,
        reportingInstance: host,
        firstTimestamp: time,
        lastTimestamp: time,
        count: 1,
      })
      working ??= work()
    },
    async flush() {
      hurry?.()
      await working
    },
    async [Symbol.asyncDispose]() {
      stop.abort(new Error('the event recorder was stopped'))
      queue.length = 0
      hurry?.()
      await working
    },
  }
}

function referenceTo(about: AnyObject | ObjectReference): ObjectReference {
  if (!('metadata' in about)) return about
  const { apiVersion, kind, metadata } = about
  const { name, namespace, uid, resourceVersion } = metadata
  return {
    apiVersion,
    kind,
    ...(name !== undefined && { name }),
    ...(namespace !== undefined && { namespace }),
    ...(uid !== undefined && { uid }),
    ...(resourceVersion !== undefined && { resourceVersion }),
  }
}

const NAME_LIMIT = 253
let lastNanos = 0n

/** `NAME.TIME` in hexadecimal nanoseconds, never the same twice. Names that leave no room are cut. */
function eventName(name: string, at: number): string {
  const nanos = BigInt(at) * 1_000_000n
  lastNanos = nanos > lastNanos ? nanos : lastNanos + 1n
  const suffix = `.${lastNanos.toString(16)}`
  return `${name.slice(0, NAME_LIMIT - suffix.length).replace(/[^a-z0-9]+$/, '')}${suffix}`
}

/** `metav1.Time`. The package `api` has it too, but with it come the schemas, which a command line should not wait for. */
function kubernetesTime(at: number): string {
  return `${new Date(at).toISOString().slice(0, 19)}Z`
}
