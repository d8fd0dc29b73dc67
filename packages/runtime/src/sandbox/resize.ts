/** Other limits for a sandbox that runs, and for its containers. */
import { mostOf, type ResourceLimits, within } from '../cgroups/cgroup-files.ts'
import { RuntimeError } from '../runtime-error.ts'
import { withSentry } from './begin-sandbox.ts'
import type { SandboxEntry } from './entries.ts'
import { isVirtual } from './handlers.ts'
import type { RuntimeParts } from './runtime-parts.ts'

export interface ResizeOptions {
  /** Of all its containers together. */
  limits: ResourceLimits
  /** By id: those that change. */
  containers: ReadonlyMap<string, ResourceLimits>
}

/**
 * What is written to control groups before something is refused stays written, and is written again when it is asked for
 * again: nothing is noted before all of it is in force.
 */
export async function resizeSandbox(
  parts: RuntimeParts,
  sandbox: SandboxEntry,
  { limits, containers }: ResizeOptions,
): Promise<void> {
  const { record } = sandbox
  const { id, handler } = record.spec
  if (isVirtual(handler))
    throw new RuntimeError('failed', `a virtual machine of ${handler} keeps the size that it was made with`)
  const { isSentry, ownsCgroups } = await parts.drivers.get(handler)
  const changes = [...sandbox.containers.values()].flatMap((entry) => {
    const wanted = containers.get(entry.id)
    return wanted && entry.spec ? [{ entry, spec: { ...entry.spec, limits: structuredClone(wanted) } }] : []
  })
  if (ownsCgroups) {
    // At no time may a group within it have more than the whole.
    await parts.cgroups.hold(id, mostOf(record.spec.limits, limits))
    for (const { entry, spec } of changes) {
      if (entry.state.phase === 'running') await parts.cgroups.holdContainer(id, entry.id, within(spec.limits, limits))
    }
  }
  await parts.cgroups.hold(id, isSentry ? withSentry(limits) : limits)
  for (const { entry, spec } of changes) {
    await parts.files.writeContainer({ spec, imageId: entry.imageId })
    entry.spec = spec
  }
  const resized = { ...record, spec: { ...record.spec, limits: structuredClone(limits) } }
  await parts.files.writeSandbox(resized)
  sandbox.record = resized
}
