import type { PodObject } from '@caisson/client'
import { sysctlsProblem } from '../containers/sysctls.ts'
import { ownersProblem } from '../volumes/own.ts'
import { SANDBOX_LABELS } from './observe-pod.ts'
import { specOf } from './observed-pod.ts'
import type { Handler } from './runtime-handler.ts'

/** What a sandbox goes without from its beginning on, kept with it so that its Pod's conditions say so. */
export function problemLabels(
  pod: PodObject,
  { handler, limitsProblem }: { handler: Handler; limitsProblem: string | undefined },
): Record<string, string> {
  const owners = hasWritableVolumes(pod) ? ownersProblem() : undefined
  const sysctls = sysctlsProblem(pod, handler)
  return {
    ...(limitsProblem !== undefined && { [SANDBOX_LABELS.limitsProblem]: limitsProblem }),
    ...(owners !== undefined && { [SANDBOX_LABELS.ownersProblem]: owners }),
    ...(sysctls !== undefined && { [SANDBOX_LABELS.sysctlsProblem]: sysctls }),
  }
}

function hasWritableVolumes(pod: PodObject): boolean {
  const made = ['configMap', 'secret', 'downwardAPI', 'projected'] as const
  return (specOf(pod).volumes ?? []).some((volume) => !made.some((kind) => volume[kind]))
}
