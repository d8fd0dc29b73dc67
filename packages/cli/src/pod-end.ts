/** How a Pod that starts nothing any more has ended, for people. */
import type { PodObject } from '@caisson/client'

/** That somebody else ended it, and why; undefined where the command ended by itself, or goes on. */
export function forcedEnd({ spec, status }: PodObject): { how: string; option: string | undefined } | undefined {
  if (status?.reason === 'Evicted') {
    const message = status.message?.trim().replace(/\.$/, '') ?? 'its node says no reason'
    return { how: `was evicted: ${message}`, option: /ephemeral local storage/.test(message) ? '--storage' : undefined }
  }
  const ended = status?.containerStatuses?.find(({ state }) => state?.terminated?.reason === 'OOMKilled')
  if (!ended) return undefined
  const limit = spec?.containers.find(({ name }) => name === ended.name)?.resources?.limits?.['memory']
  return { how: `was killed: over its memory limit${limit === undefined ? '' : ` ${limit}`}`, option: '--memory' }
}

/** Undefined where it goes on, or will. */
export function endOfPod(pod: PodObject): string | undefined {
  const { phase, containerStatuses = [] } = pod.status ?? {}
  if (phase !== 'Succeeded' && phase !== 'Failed') return undefined
  const forced = forcedEnd(pod)
  if (forced) return forced.how
  const codes = containerStatuses.flatMap(({ state }) => state?.terminated?.exitCode ?? [])
  const [code] = [...codes.filter((one) => one !== 0), ...codes]
  return code === undefined ? 'has ended' : `has ended (exit code ${code})`
}
