import { discardBlank } from './blank.ts'
import { killContainer, removeContainerEntry } from './containers.ts'
import type { SandboxEntry } from './entries.ts'
import type { Registry } from './registry.ts'
import type { RuntimeParts } from './runtime-parts.ts'

/** Ends all that runs in a sandbox and takes away what there is of it. Whoever asks meanwhile waits for the same. */
export function removeSandbox(parts: RuntimeParts, registry: Registry, sandbox: SandboxEntry): Promise<void> {
  sandbox.removing ??= removeParts(parts, registry, sandbox).finally(() => {
    sandbox.removing = undefined
  })
  return sandbox.removing
}

async function removeParts(parts: RuntimeParts, registry: Registry, sandbox: SandboxEntry): Promise<void> {
  const { id } = sandbox.record.spec
  if (sandbox.blank) await discardBlank(parts, sandbox.blank)
  sandbox.blank = undefined
  const entries = [...sandbox.containers.values()]
  await Promise.all(entries.map((entry) => killContainer(parts, sandbox, entry)))
  if (sandbox.pause) await killContainer(parts, sandbox, sandbox.pause)
  // Sub-containers before the one that their sentry began with.
  await Promise.all(entries.map((entry) => removeContainerEntry(parts, sandbox, entry)))
  if (sandbox.pause) await removeContainerEntry(parts, sandbox, sandbox.pause)
  await parts.network.detach(id)
  await parts.cgroups.remove(id)
  await parts.files.removeSandbox(id)
  registry.sandboxes.delete(id)
}
