/** Directories of this machine that sandboxes have. */
import { realpath } from 'node:fs/promises'
import { type PodObject, resources } from '@caisson/client'
import type { Session } from './cluster/session.ts'

/**
 * Of all Pods of the embedded cluster; elsewhere of the one given, whose directories may be this machine's.
 *
 * @returns real paths of those that are there
 */
export async function sharedDirectories({ client, embedded }: Session, pod: PodObject): Promise<string[]> {
  const pods = embedded ? (await client.list(resources.pods)).items : [pod]
  return await hostDirectories(pods)
}

export async function hostDirectories(pods: readonly Pick<PodObject, 'spec'>[]): Promise<string[]> {
  const paths = new Set(
    pods.flatMap(({ spec }) => (spec?.volumes ?? []).flatMap(({ hostPath }) => hostPath?.path ?? [])),
  )
  const real = await Promise.all([...paths].map((path) => realpath(path).catch(() => [])))
  return real.flat()
}
