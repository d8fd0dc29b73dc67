import type { PodObject } from '@caisson/client'
import { sysctlsProblem } from '../containers/sysctls.ts'
import { ownersProblem } from '../volumes/own.ts'
import { SANDBOX_LABELS } from './observe-pod.ts'
import { specOf } from './observed-pod.ts'

/** What a sandbox goes without from its beginning on, kept with it so that its Pod's conditions say so. */
export function problemLabels(
  pod: PodObject,
  { sysctls: applied, limitsProblem }: { sysctls: Readonly<Record<string, string>>; limitsProblem: string | undefined },
): Record<string, string> {
  const owners = hasWritableVolumes(pod) ? ownersProblem() : undefined
  const sysctls = sysctlsProblem(pod, applied)
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
