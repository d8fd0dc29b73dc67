/** What a sandbox is before its first container: its control groups, its network, its record, and where it is shared its pause. */
import type { ResourceLimits } from '../runtime.ts'
import type { Blanks } from './blanks.ts'
import { cancelStart } from './cancel-start.ts'
import { startPause } from './containers.ts'
import type { SandboxEntry } from './entries.ts'
import { pauseContainerId } from './oci-ids.ts'
import type { RuntimeParts } from './runtime-parts.ts'
import { openSnapshot } from './snapshot-files.ts'

/**
 * What a sentry needs for itself beside its containers' memory, and tasks that it starts for each of theirs: the limit of
 * its control group is theirs and this. Measured: 28 MB while it starts, 14 MB and 27 tasks when idle.
 */
const SENTRY_MEMORY = 32 * 1024 * 1024
const SENTRY_TASKS = 256

/** Where it rejects, or `signal` was aborted, what was made is for the caller to remove. */
export async function beginSandbox(
  parts: RuntimeParts,
  sandbox: SandboxEntry,
  { blanks, signal }: { blanks: Blanks; signal: AbortSignal | undefined },
): Promise<void> {
  const { record } = sandbox
  const { spec } = record
  const { isSentry, ownsCgroups } = await parts.drivers.get(spec.handler)
  const limits = isSentry ? withSentry(spec.limits) : spec.limits
  const ahead = isSentry && !spec.shared ? spec.snapshot : undefined
  const blank = ahead === undefined ? undefined : await blanks.take(ahead, spec.network)
  sandbox.blank = blank
  if (blank) await parts.cgroups.adopt(spec.id, blank.id, limits)
  else await parts.cgroups.create(spec.id, limits, ownsCgroups)
  if (spec.network.kind === 'pod') {
    record.ip = (await parts.network.attach(spec.id, { signal, reserved: blank?.network })).ip
    if (blank) blank.network = undefined
  }
  await parts.files.writeSandbox(record)
  signal?.throwIfAborted()
  if (spec.shared) {
    using _ = cancelStart(parts.files.containerDirectory(pauseContainerId(spec.id)), signal)
    const snapshot = isSentry && spec.snapshot !== undefined ? await openSnapshot(spec.snapshot) : undefined
    const names = snapshot?.manifest.containers?.map(({ name }) => name) ?? []
    sandbox.pause = await startPause(parts, sandbox, names.length > 0 ? snapshot : undefined)
    sandbox.awaits = new Set(names)
  }
  signal?.throwIfAborted()
}

/** The limits of the control group that holds a sentry and what runs in it. */
export function withSentry({ memoryBytes, pids, ...limits }: ResourceLimits): ResourceLimits {
  return {
    ...limits,
    ...(memoryBytes !== undefined && { memoryBytes: memoryBytes + SENTRY_MEMORY }),
    ...(pids !== undefined && { pids: pids + SENTRY_TASKS }),
  }
}
