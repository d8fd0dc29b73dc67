import { abortableDelay } from '@caisson/client'
import type { LifecycleHandler } from 'kubernetes-types/core/v1.d.ts'
import { runInContainer } from './probe-exec.ts'
import { getFromPod } from './probe-http.ts'
import type { ProbeTarget } from './probe-target.ts'

/**
 * Runs a postStart or preStop hook to its end. Rejects where it fails, with kubelet's message (which may tell what the
 * container printed: it is for the Pod's status, not for events), or where the signal is aborted.
 */
export async function runHook(
  target: ProbeTarget,
  hook: LifecycleHandler & { sleep?: { seconds: number } },
  { pod, signal }: { pod: string; signal: AbortSignal },
): Promise<void> {
  const where = `for Container ${JSON.stringify(target.container.name)} in Pod ${JSON.stringify(pod)} failed - error`
  if (hook.exec) {
    const command = hook.exec.command ?? []
    const failed = (error: string, output: string): Error =>
      new Error(`Exec lifecycle hook ([${command.join(' ')}]) ${where}: ${error}, message: ${JSON.stringify(output)}`)
    const end = await runInContainer(target, command, signal).catch((cause: unknown) => {
      throw failed((cause as Error).message, '')
    })
    if (end.status.exitCode === 0) return
    throw failed(`command '${command.join(' ')}' exited with ${end.status.exitCode}: ${end.output}`, end.output)
  }
  if (hook.httpGet) {
    const { httpGet } = hook
    await getFromPod(target, httpGet, { userAgent: 'kube-lifecycle/1.34', signal }).catch((cause: unknown) => {
      throw new Error(`HTTP lifecycle hook (${httpGet.path ?? ''}) ${where}: ${(cause as Error).message}`, { cause })
    })
    return
  }
  if (hook.sleep) await abortableDelay(hook.sleep.seconds * 1000, signal)
}
