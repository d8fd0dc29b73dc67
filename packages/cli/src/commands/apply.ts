import { readFileSync } from 'node:fs'
import { KUBERNETES_YAML, type KubeObject, LONGEST_TIMER, type Sandbox } from '@caisson/api'
import { type Client, defineResource, type Resource } from '@caisson/client'
import { parseAllDocuments } from 'yaml'
import { CliError } from '../cli-error.ts'
import { openSession } from '../cluster/session.ts'
import { parseDuration } from '../duration.ts'
import type { GlobalOptions } from '../global-options.ts'
import { sandboxes } from '../sandboxes.ts'
import { sayWaiting } from '../say-waiting.ts'
import { say } from '../terminal-text.ts'
import { watchNamed } from '../watch-named.ts'

export interface ApplyCommandOptions extends GlobalOptions {
  filename: string
  wait?: boolean
  timeout: string
}

/** Applies each object of a file, server-side; with `--wait` until each Sandbox among them is Ready. */
export async function apply(options: ApplyCommandOptions): Promise<void> {
  const timeoutMs = parseDuration('--timeout', options.timeout)
  const objects = readObjects(options.filename)
  await using session = await openSession({ ...options, start: true })
  const { client } = session
  const applied: Array<{ resource: Resource<KubeObject>; object: KubeObject }> = []
  for (const object of objects) {
    const resource = await resourceOf(client, object, options.filename)
    const namespace = resource.namespaced ? (object.metadata.namespace ?? session.namespace) : undefined
    const answer = await client.apply(resource, object, { ...(namespace && { namespace }), force: true })
    console.log(`${resource.plural}/${answer.metadata.name} applied`)
    applied.push({ resource, object: answer })
  }
  if (!options.wait) return
  const signal = AbortSignal.timeout(Math.min(timeoutMs, LONGEST_TIMER))
  for (const { resource, object } of applied) {
    if (resource.group === sandboxes.group && resource.plural === sandboxes.plural)
      await waitUntilReady(client, object as unknown as Sandbox, signal)
  }
}

function readObjects(filename: string): KubeObject[] {
  let text: string
  try {
    text = readFileSync(filename === '-' ? 0 : filename, 'utf8')
  } catch (cause) {
    throw new CliError('not-found', `${filename} cannot be read: ${(cause as Error).message}`, { cause })
  }
  const documents = parseAllDocuments(text, KUBERNETES_YAML)
  return documents.flatMap((document, index) => {
    const [error] = document.errors
    if (error) throw new CliError('usage', `${filename}, document ${index + 1}: ${error.message}`, { cause: error })
    const object = document.toJS() as KubeObject | null
    if (object === null) return []
    if (typeof object !== 'object' || !object.apiVersion || !object.kind || !object.metadata?.name) {
      throw new CliError(
        'usage',
        `${filename}, document ${index + 1}: expected an object with apiVersion, kind and metadata.name`,
      )
    }
    return [object]
  })
}

/** Asks the server by which path a kind is served. */
async function resourceOf(
  client: Client,
  { apiVersion, kind }: KubeObject,
  filename: string,
): Promise<Resource<KubeObject>> {
  const [group, version] = apiVersion.includes('/') ? apiVersion.split('/') : ['', apiVersion]
  const path = group
    ? `/apis/${encodeURIComponent(group)}/${encodeURIComponent(version ?? '')}`
    : `/api/${encodeURIComponent(version ?? '')}`
  const list = await client
    .request<{ resources: Array<{ name: string; kind: string; namespaced: boolean }> }>({ method: 'GET', path })
    .catch((cause: unknown) => {
      throw new CliError(
        'failed',
        `${filename}: the cluster does not serve ${apiVersion}: 'kubectl api-versions' lists what it does`,
        { cause },
      )
    })
  const found = list.resources.find((one) => one.kind === kind && !one.name.includes('/'))
  if (!found) throw new CliError('failed', `${filename}: ${apiVersion} has no kind ${kind}`)
  return defineResource<KubeObject>({
    group: group ?? '',
    version: version ?? '',
    plural: found.name,
    kind,
    namespaced: found.namespaced,
  })
}

async function waitUntilReady(client: Client, sandbox: Sandbox, signal: AbortSignal): Promise<void> {
  const { name = '', namespace = '' } = sandbox.metadata
  let last = sandbox.status?.conditions
  say(`waiting for sandbox ${name} to be Ready`)
  using _ = sayWaiting(`sandbox ${name}`)
  try {
    for await (const event of watchNamed(client, sandboxes, { namespace, name, signal })) {
      if (event.type !== 'ADDED' && event.type !== 'MODIFIED') continue
      last = event.object.status?.conditions
      if (last?.some(({ type, status }) => type === 'Ready' && status === 'True'))
        return console.log(`sandboxes/${name} ready`)
    }
  } catch (cause) {
    if (!signal.aborted) throw cause
  }
  const why = last?.find((condition) => condition.type === 'Ready')?.message ?? 'it has no status yet'
  throw new CliError(
    'timed-out',
    `sandbox ${name} did not become Ready in time: ${why}; 'kubectl describe pod ${name}' says more`,
  )
}
