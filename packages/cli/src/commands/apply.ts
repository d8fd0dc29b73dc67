import { type KubeObject, LONGEST_TIMER } from '@caisson/api'
import { type Client, defineResource, isNotFound, type Resource } from '@caisson/client'
import { type ManifestObject, readManifests } from '../apply/manifest-files.ts'
import { refusedObject } from '../apply/refused-object.ts'
import { CliError, EXIT_CODES } from '../cli-error.ts'
import { openSession, type Session } from '../cluster/session.ts'
import { parseDuration } from '../duration.ts'
import type { GlobalOptions } from '../global-options.ts'
import { whenReady } from '../sandbox-progress.ts'
import { sandboxes } from '../sandboxes.ts'
import { sayWaiting } from '../say-waiting.ts'
import { say } from '../terminal-text.ts'

export interface ApplyCommandOptions extends GlobalOptions {
  filename: string[]
  wait?: boolean
  timeout: string
}

/**
 * Applies each object of the files, server-side; with `--wait` until each Sandbox among them is Ready. What cannot be applied
 * is said, and keeps nothing else from being applied.
 */
export async function apply(options: ApplyCommandOptions): Promise<void> {
  const timeoutMs = parseDuration('--timeout', options.timeout)
  const { objects, failures } = readManifests(options.filename)
  for (const { message } of failures) say(message)
  if (objects.length > 0) {
    await using session = await openSession({ ...options, start: true })
    const applied = await applyAll(session, objects, failures)
    if (options.wait && failures.length === 0) await waitForAll(session, applied, timeoutMs)
  }
  process.exitCode = exitCodeOf(failures)
}

interface Applied {
  resource: Resource<KubeObject>
  object: KubeObject
}

/** @param failures takes those of these objects */
async function applyAll(
  session: Session,
  manifests: readonly ManifestObject[],
  failures: CliError[],
): Promise<Applied[]> {
  const applied: Applied[] = []
  for (const manifest of manifests) {
    try {
      applied.push(await applyOne(session, manifest))
    } catch (error) {
      if (!(error instanceof CliError)) throw error
      say(error.message)
      failures.push(error)
    }
  }
  return applied
}

async function applyOne({ client, namespace: own }: Session, manifest: ManifestObject): Promise<Applied> {
  const { object } = manifest
  const resource = await resourceOf(client, manifest)
  const namespace = resource.namespaced ? (object.metadata.namespace ?? own) : undefined
  const answer = await client
    .apply(resource, object, { ...(namespace && { namespace }), force: true })
    .catch((error: unknown) => {
      throw refusedObject(error, manifest, namespace)
    })
  console.log(`${resource.plural}/${answer.metadata.name} applied`)
  return { resource, object: answer }
}

async function waitForAll(session: Session, applied: readonly Applied[], timeoutMs: number): Promise<void> {
  const signal = AbortSignal.timeout(Math.min(timeoutMs, LONGEST_TIMER))
  for (const { resource, object } of applied) {
    if (resource.group !== sandboxes.group || resource.plural !== sandboxes.plural) continue
    const { name = '', namespace = '' } = object.metadata
    say(`waiting for sandbox ${name} to be Ready`)
    using waiting = sayWaiting(`sandbox ${name}`)
    await whenReady({ ...session, namespace }, name, signal)
    waiting.print(`sandboxes/${name} ready`)
  }
}

/** The code that all of them have; where they differ, that of failures of any kind. */
function exitCodeOf(failures: readonly CliError[]): number {
  const [first, ...others] = failures
  if (!first) return 0
  return EXIT_CODES[others.every(({ code }) => code === first.code) ? first.code : 'failed']
}

/** Asks the server by which path a kind is served. */
async function resourceOf(
  client: Client,
  { object: { apiVersion, kind }, place }: ManifestObject,
): Promise<Resource<KubeObject>> {
  const [group, version] = apiVersion.includes('/') ? apiVersion.split('/') : ['', apiVersion]
  const path = group
    ? `/apis/${encodeURIComponent(group)}/${encodeURIComponent(version ?? '')}`
    : `/api/${encodeURIComponent(version ?? '')}`
  const list = await client
    .request<{ resources: Array<{ name: string; kind: string; namespaced: boolean }> }>({ method: 'GET', path })
    .catch((cause: unknown) => {
      if (!isNotFound(cause)) throw cause
      throw new CliError(
        'failed',
        `${place}: the cluster does not serve ${apiVersion}: 'kubectl api-versions' lists what it does`,
        { cause },
      )
    })
  const found = list.resources.find((one) => one.kind === kind && !one.name.includes('/'))
  if (!found)
    throw new CliError(
      'failed',
      `${place}: ${apiVersion} has no kind ${kind}: 'kubectl api-resources' lists those that there are`,
    )
  return defineResource<KubeObject>({
    group: group ?? '',
    version: version ?? '',
    plural: found.name,
    kind,
    namespaced: found.namespaced,
  })
}
