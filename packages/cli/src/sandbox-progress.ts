/** What commands wait for: a Sandbox that runs or sleeps, a snapshot that is there. */
import {
  findCondition,
  hasSnapshotFailed,
  isConditionTrue,
  isSuspendedForIdleness,
  operatingModePatch,
  SANDBOX_REASONS,
  type Sandbox,
  type SandboxSnapshot,
} from '@caisson/api'
import { isAlreadyExists, isNotFound, sandboxSnapshots } from '@caisson/client'
import { CliError } from './cli-error.ts'
import type { Session } from './cluster/session.ts'
import { shownName } from './new-name.ts'
import { sandboxes } from './sandboxes.ts'
import { sayWaiting } from './say-waiting.ts'
import { whenObject } from './when-object.ts'

const PATIENCE_MS = 120_000

/** Longer than any checkpoint or start that is worth waiting for. */
export function patience(): AbortSignal {
  return AbortSignal.timeout(PATIENCE_MS)
}

/** @throws CliError where it never will be Ready as it is */
export function whenReady({ client, namespace }: Session, name: string, signal: AbortSignal): Promise<Sandbox> {
  return whenObject(client, sandboxes, {
    namespace,
    name,
    signal,
    wanted(sandbox) {
      const { conditions } = sandbox.status ?? {}
      const ready = findCondition(conditions, 'Ready')
      if (ready?.observedGeneration !== sandbox.metadata.generation) return undefined
      if (ready?.status === 'True') return sandbox
      if (ready?.reason === SANDBOX_REASONS.invalidConfiguration)
        throw new CliError('usage', `sandbox ${name} cannot start: ${ready.message}`)
      if (ready?.reason === SANDBOX_REASONS.reconcilerError && ready.message.includes(' is forbidden: '))
        throw new CliError('not-permitted', `sandbox ${name} cannot start: ${withoutPrefix(ready.message)}`)
      const error = findCondition(conditions, 'caisson.dev/ContainerError') ?? findCondition(conditions, 'Finished')
      if (error?.status === 'True') throw new CliError('failed', `sandbox ${name} does not run: ${error.message}`)
      return undefined
    },
    why: ({ status }) => findCondition(status?.conditions, 'Ready')?.message,
  })
}

/** What a condition says of an error, whose message begins as agent-sandbox's does. */
export function withoutPrefix(message: string): string {
  return message.replace(/^Error seen: /, '')
}

/** @throws CliError where it could not be made */
export function whenTaken({ client, namespace }: Session, name: string, signal: AbortSignal): Promise<SandboxSnapshot> {
  return whenObject(client, sandboxSnapshots, {
    namespace,
    name,
    signal,
    wanted(snapshot) {
      const ready = findCondition(snapshot.status?.conditions, 'Ready')
      if (hasSnapshotFailed(snapshot))
        throw new CliError('failed', `the snapshot could not be made (${ready?.reason}): ${ready?.message}`)
      return isConditionTrue(snapshot.status?.conditions, 'Ready') ? snapshot : undefined
    },
    why: ({ status }) => findCondition(status?.conditions, 'Ready')?.message,
  })
}

/** The Sandbox of a name. */
export async function getSandbox({ client, namespace }: Session, name: string): Promise<Sandbox> {
  try {
    return await client.get(sandboxes, name, { namespace })
  } catch (error) {
    if (!isNotFound(error)) throw error
    throw new CliError('no-sandbox', `no sandbox ${shownName(name)} in namespace ${namespace}: 'caisson ls' lists them`)
  }
}

export async function createSnapshot(
  { client, namespace }: Session,
  { name, sandboxName, annotations }: { name: string; sandboxName: string; annotations?: Record<string, string> },
): Promise<void> {
  const metadata = { name, namespace, ...(annotations && { annotations }) }
  try {
    await client.create(sandboxSnapshots, { metadata, spec: { sandboxName } }, { namespace })
  } catch (error) {
    if (!isAlreadyExists(error)) throw error
    throw new CliError('failed', `there is a snapshot ${name} already: choose another name`, { cause: error })
  }
}

/** Suspended keeps the memory. */
export async function setOperatingMode(
  { client, namespace }: Session,
  sandbox: Sandbox,
  operatingMode: 'Running' | 'Suspended',
): Promise<Sandbox['metadata']> {
  const { name = '', uid = '' } = sandbox.metadata
  const patch = operatingModePatch(sandbox, operatingMode)
  const suspension = operatingMode === 'Suspended' && { suspension: { ...sandbox.spec.suspension, memory: 'Keep' } }
  const body = { metadata: { ...patch.metadata, uid }, spec: { ...patch.spec, ...suspension } }
  const changed = await client.patch(sandboxes, name, body, { namespace })
  return changed.metadata
}

/**
 * Has a Sandbox go on that sleeps with its memory, or by itself, and says whether it did: who wants something of it need
 * not know.
 */
export async function wakeIfAsleep(session: Session, name: string): Promise<boolean> {
  const sandbox = await session.client
    .get(sandboxes, name, { namespace: session.namespace })
    .catch((error: unknown) => (isNotFound(error) ? undefined : Promise.reject(error)))
  const sleeps = sandbox?.spec.operatingMode === 'Suspended' && sandbox.spec.suspension?.memory === 'Keep'
  if (!sandbox || !(sleeps || isSuspendedForIdleness(sandbox))) return false
  using _ = sayWaiting(`sandbox ${name}, which slept`)
  await setOperatingMode(session, sandbox, 'Running')
  await whenReady(session, name, patience())
  return true
}
