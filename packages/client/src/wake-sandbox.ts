/** Having a Sandbox run again that was suspended because nothing happened in it: for doors that somebody knocks on. */
import { findCondition, isSuspendedForIdleness, operatingModePatch, SANDBOX_REASONS, type Sandbox } from '@caisson/api'
import { isConflict, isNotFound } from './api-error.ts'
import { sandboxes } from './caisson-resources.ts'
import type { Client } from './client.ts'
import { abortable } from './delay.ts'
import type { Informer } from './informer.ts'
import { joinKey } from './resource.ts'

export interface SandboxWaker {
  /**
   * Undefined where the Sandbox need not be woken: it runs, is suspended because somebody wants it so, or is not there.
   * Otherwise resolves once it is Ready again; rejects with a `WakeError` where it cannot be, or with the signal's reason.
   * Whoever asks for the same Sandbox meanwhile waits for the same.
   */
  wake(sandbox: { namespace: string; name: string }, signal: AbortSignal): Promise<void> | undefined
}

export interface SandboxWakerOptions {
  /** May patch Sandboxes. */
  client: Client
  /** Of all namespaces in which Sandboxes are to be woken. */
  informer: Informer<Sandbox>
  /** How long a Sandbox may take to be Ready, ms; 60 s unless said. */
  patienceMs?: number
}

/** The message says what became of the Sandbox. */
export class WakeError extends Error {
  override readonly name = 'WakeError'
  readonly code = 'NOT_WOKEN'
}

const PATIENCE_MS = 60_000
/** Others write the same object, each at most a few times while it wakes. */
const ATTEMPTS = 10

export function createSandboxWaker({ client, informer, patienceMs = PATIENCE_MS }: SandboxWakerOptions): SandboxWaker {
  const waking = new Map<string, Promise<void>>()

  async function wakeNow(namespace: string, name: string): Promise<void> {
    const generation = await setRunning(namespace, name)
    if (generation !== undefined) await ready(joinKey(namespace, name), generation)
  }

  /** The generation that asks for it to run; undefined where it sleeps no more. */
  async function setRunning(namespace: string, name: string): Promise<number | undefined> {
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      try {
        const sandbox = await client.get(sandboxes, name, { namespace })
        if (!isSuspendedForIdleness(sandbox)) return undefined
        const { uid, resourceVersion } = sandbox.metadata
        const patch = operatingModePatch(sandbox, 'Running')
        const body = { ...patch, metadata: { ...patch.metadata, uid, resourceVersion } }
        const changed = await client.patch(sandboxes, name, body, { namespace })
        informer.observe(changed)
        return changed.metadata.generation ?? 0
      } catch (error) {
        if (isNotFound(error)) return undefined
        if (!isConflict(error)) throw error
      }
    }
    throw new WakeError(`Sandbox ${name} was changed ${ATTEMPTS} times while it was to be woken`)
  }

  async function ready(key: string, generation: number): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const look = (): void => {
      const sandbox = informer.get(key)
      if (!sandbox) return reject(new WakeError(`Sandbox ${key} was deleted while it was woken`))
      const said = readiness(sandbox, generation)
      if (said === 'ready') resolve()
      else if (said !== 'waiting') reject(said)
    }
    const late = setTimeout(() => {
      const ready = findCondition(informer.get(key)?.status?.conditions, 'Ready')
      reject(
        new WakeError(`Sandbox ${key} was woken and is not Ready within ${patienceMs / 1000} s: ${ready?.message}`),
      )
    }, patienceMs)
    using _ = informer.handle({ added: look, updated: look, deleted: look })
    look()
    try {
      await promise
    } finally {
      clearTimeout(late)
    }
  }

  return {
    wake({ namespace, name }, signal) {
      const key = joinKey(namespace, name)
      const known = waking.get(key)
      if (known) return abortable(known, signal)
      const sandbox = informer.get(key)
      if (!sandbox || !isSuspendedForIdleness(sandbox)) return undefined
      const begun = wakeNow(namespace, name).finally(() => waking.delete(key))
      waking.set(key, begun)
      // It goes on where nobody waits for it any more.
      begun.catch(() => undefined)
      return abortable(begun, signal)
    },
  }
}

function readiness({ metadata, status }: Sandbox, generation: number): 'ready' | 'waiting' | WakeError {
  const ready = findCondition(status?.conditions, 'Ready')
  if (!ready || (ready.observedGeneration ?? 0) < generation) return 'waiting'
  if (ready.status === 'True') return 'ready'
  const over: readonly string[] = [
    SANDBOX_REASONS.podFailed,
    SANDBOX_REASONS.podSucceeded,
    SANDBOX_REASONS.expired,
    SANDBOX_REASONS.suspended,
    SANDBOX_REASONS.invalidConfiguration,
  ]
  if (!over.includes(ready.reason)) return 'waiting'
  return new WakeError(`Sandbox ${metadata.name} was woken and does not run (${ready.reason}): ${ready.message}`)
}
