import { findCondition, isConditionTrue } from '@caisson/api'
import { CliError } from '../cli-error.ts'
import { openSession, type Session } from '../cluster/session.ts'
import type { GlobalOptions } from '../global-options.ts'
import { getSandbox, patience, setOperatingMode, whenReady } from '../sandbox-progress.ts'
import { sandboxes } from '../sandboxes.ts'
import { sayWaiting } from '../say-waiting.ts'
import { whenObject } from '../when-object.ts'
import { whereFound } from '../where-found.ts'

export interface SuspendOptions extends GlobalOptions {
  name: string
}

/** Suspends a Sandbox with its memory; what cannot be kept goes on running. Prints the name. */
export async function suspend(options: SuspendOptions): Promise<void> {
  await using session = await openSession(options)
  await whereFound(session, (here) => suspendIn(here, options.name))
  console.log(options.name)
}

async function suspendIn(session: Session, name: string): Promise<void> {
  const sandbox = await getSandbox(session, name)
  using _ = sayWaiting(`sandbox ${name} to sleep`)
  const { generation = 0 } = await setOperatingMode(session, sandbox, 'Suspended')
  const outcome = await whenObject(session.client, sandboxes, {
    namespace: session.namespace,
    name,
    signal: patience(),
    wanted({ status }) {
      const suspended = findCondition(status?.conditions, 'Suspended')
      if ((suspended?.observedGeneration ?? 0) < generation) return undefined
      if (isConditionTrue(status?.conditions, 'Suspended')) return { kept: true, message: '' }
      return suspended?.reason === 'MemoryNotKept' ? { kept: false, message: suspended.message } : undefined
    },
  })
  if (!outcome.kept) {
    await setOperatingMode(session, sandbox, 'Running')
    throw new CliError('failed', `sandbox ${name} goes on running, its memory could not be kept: ${outcome.message}`)
  }
}

/** Has a suspended Sandbox go on, and prints its name once it does. */
export async function resume(options: SuspendOptions): Promise<void> {
  const { name } = options
  await using session = await openSession(options)
  await whereFound(session, async (here) => {
    const sandbox = await getSandbox(here, name)
    using _ = sayWaiting(`sandbox ${name}`)
    await setOperatingMode(here, sandbox, 'Running')
    await whenReady(here, name, patience())
  })
  console.log(name)
}
