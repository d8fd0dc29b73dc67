/** Which runtime a Pod runs under. */
import type { PodObject } from '@caisson/client'
import type { RuntimeHandler } from '@caisson/runtime'
import type { PodSources } from '../pod-sources.ts'
import { specOf } from './observed-pod.ts'

export type Handler = RuntimeHandler | 'fake'

const HANDLERS: readonly string[] = ['runsc', 'runc', 'crun', 'runc-v2', 'kata', 'kata-fc']
/** Of Pods that name no RuntimeClass: the strongest isolation that there is without a virtual machine. */
const DEFAULT_HANDLER: Handler = 'runsc'

/** A string says why there is none. Nothing weaker than what was asked for is ever chosen. */
export async function handlerOf(
  pod: PodObject,
  { sources, fake }: { sources: Pick<PodSources, 'runtimeClass'>; fake: boolean },
): Promise<{ handler: Handler } | string> {
  const { runtimeClassName } = specOf(pod)
  if (!runtimeClassName) return { handler: DEFAULT_HANDLER }
  const runtimeClass = await sources.runtimeClass(runtimeClassName)
  if (!runtimeClass) return `failed to get sandbox runtime: RuntimeClass ${JSON.stringify(runtimeClassName)} not found`
  const { handler } = runtimeClass
  if (handler === 'fake' && fake) return { handler: 'fake' }
  if (HANDLERS.includes(handler)) return { handler: handler as RuntimeHandler }
  return `failed to get sandbox runtime: no runtime for ${JSON.stringify(handler)} is configured: this node has ${HANDLERS.join(', ')}`
}
