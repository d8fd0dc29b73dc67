/**
 * Other API servers that an administrator joins in with APIServices: whether they answer, and what they have. Each is asked
 * for its list of kinds, at once when its APIService is new or changed, every 30 s while it answers, and sooner while not.
 */
import { type Agent, request as httpsRequest } from 'node:https'
import { mergeConditions } from '@caisson/api'
import { type DialService, serviceAgent } from '../admission/webhooks/service-agent.ts'
import type { FrontProxy } from '../authn/certificates.ts'
import { SUPERUSERS } from '../authz/authorizer.ts'
import { onOtherProtocol } from '../http/other-protocol.ts'
import type { ApiServiceObject } from '../registry/builtin/api-service.ts'
import type { Registry } from '../registry/registry.ts'
import { deepEqual } from '../storage/freeze.ts'
import type { Store } from '../storage/store.ts'
import { API_SERVICES } from './keep-local-services.ts'
import { isLocal } from './local-services.ts'
import { userHeaders } from './user-headers.ts'

const CHECK_MS = 30_000
const FIRST_RETRY_MS = 1000
const PATIENCE_MS = 5000
const MOST_LIST_BYTES = 1 << 20

/** As `/apis/GROUP/VERSION` has it. */
export interface RemoteResource {
  name: string
  singularName?: string
  namespaced: boolean
  kind: string
  group?: string
  version?: string
  verbs: readonly string[]
  shortNames?: readonly string[]
  categories?: readonly string[]
}

export interface RemoteService {
  group: string
  version: string
  groupPriority: number
  versionPriority: number
  isAvailable: boolean
  /** Of its last answer. */
  resources: readonly RemoteResource[]
  agent: Agent
  /** The host that its certificate is of. */
  host: string
}

export interface RemoteServices extends Disposable {
  /** By `GROUP/VERSION`. Those that this server answers for itself are not among them. */
  readonly all: ReadonlyMap<string, RemoteService>
}

export interface RemoteServicesOptions {
  store: Store
  registry: Registry
  dial: DialService | undefined
  frontProxy(): Promise<FrontProxy>
  /** ms since the epoch. */
  now(): number
  report(error: unknown): void
}

interface Entry extends RemoteService {
  object: ApiServiceObject
  timer: NodeJS.Timeout | undefined
  retryMs: number
}

type Verdict = { status: 'True' | 'False'; reason: string; message: string }

export function followRemoteServices(options: RemoteServicesOptions): RemoteServices {
  const { store, registry, report } = options
  const entries = new Map<string, Entry>()
  let stopped = false

  async function look(object: ApiServiceObject, isThere: boolean): Promise<void> {
    const { group = '', version = '', service } = object.spec
    const key = `${group}/${version}`
    const before = entries.get(key)
    const isRemote = isThere && service !== undefined && !isLocal(registry, object.spec)
    if (
      before &&
      isRemote &&
      before.object.metadata.uid === object.metadata.uid &&
      deepEqual(before.object.spec, object.spec)
    ) {
      before.object = object
      return
    }
    if (before) forget(key, before)
    if (!isRemote || !service) return
    const { client } = await options.frontProxy()
    // Others may have come meanwhile.
    if (stopped || store.get(API_SERVICES, undefined, object.metadata.name ?? '')?.metadata.uid !== object.metadata.uid)
      return
    const { namespace = '', name = '', port = 443 } = service
    const { caBundle, insecureSkipTLSVerify = false, groupPriorityMinimum, versionPriority } = object.spec
    const tls = {
      cert: client.certificate,
      key: client.key,
      ...(caBundle && { ca: Buffer.from(caBundle, 'base64') }),
      ...(insecureSkipTLSVerify && { rejectUnauthorized: false }),
    }
    const entry: Entry = {
      group,
      version,
      groupPriority: groupPriorityMinimum,
      versionPriority,
      isAvailable: false,
      resources: [],
      agent: serviceAgent({ namespace, name, port }, { dial: options.dial, tls }),
      host: `${name}.${namespace}.svc`,
      object,
      timer: undefined,
      retryMs: FIRST_RETRY_MS,
    }
    const other = entries.get(key)
    if (other) forget(key, other)
    entries.set(key, entry)
    await check(key, entry)
  }

  function forget(key: string, entry: Entry): void {
    clearTimeout(entry.timer)
    entry.agent.destroy()
    if (entries.get(key) === entry) entries.delete(key)
  }

  async function check(key: string, entry: Entry): Promise<void> {
    const verdict = missing(entry.object, store) ?? (await ask(entry))
    if (stopped || entries.get(key) !== entry) return
    entry.isAvailable = verdict.status === 'True'
    const wait = entry.isAvailable ? CHECK_MS : entry.retryMs
    entry.retryMs = entry.isAvailable ? FIRST_RETRY_MS : Math.min(entry.retryMs * 2, CHECK_MS)
    entry.timer = setTimeout(() => watchOver(check(key, entry)), wait).unref()
    await tell(entry, verdict)
  }

  async function tell({ object }: Entry, verdict: Verdict): Promise<void> {
    const { name = '', uid } = object.metadata
    const next = (current: ApiServiceObject): ApiServiceObject => {
      const conditions = mergeConditions(current.status?.conditions as never, [{ type: 'Available', ...verdict }], {
        now: options.now(),
      })
      return {
        ...current,
        metadata: { ...current.metadata },
        status: { ...current.status, conditions },
      } as ApiServiceObject
    }
    const stored = store.get(API_SERVICES, undefined, name) as ApiServiceObject | undefined
    if (!stored || deepEqual(next(stored), stored)) return
    await store.write((transaction) => {
      const current = transaction.get(API_SERVICES, undefined, name) as ApiServiceObject | undefined
      if (current && current.metadata.uid === uid) transaction.put(API_SERVICES, next(current))
    })
  }

  function watchOver(work: Promise<void>): void {
    work.catch((error: unknown) => {
      if (!stopped && store.failure === undefined) report(error)
    })
  }

  const subscription = store.subscribe(API_SERVICES, store.revision, ({ type, object }) =>
    watchOver(look(object as ApiServiceObject, type !== 'DELETED')),
  )
  for (const object of store.list(API_SERVICES)) watchOver(look(object as ApiServiceObject, true))
  return {
    all: entries,
    [Symbol.dispose]() {
      stopped = true
      subscription?.[Symbol.dispose]()
      for (const [key, entry] of entries) forget(key, entry)
    },
  }
}

interface Service {
  spec?: { ports?: Array<{ port: number }> }
}

function missing({ spec }: ApiServiceObject, store: Pick<Store, 'get'>): Verdict | undefined {
  const { namespace = '', name = '', port = 443 } = spec.service ?? {}
  const service = store.get('services', namespace, name) as Service | undefined
  const what = `service/${name} in ${JSON.stringify(namespace)}`
  if (!service) return { status: 'False', reason: 'ServiceNotFound', message: `${what} is not present` }
  if (service.spec?.ports?.some((each) => each.port === port)) return undefined
  return { status: 'False', reason: 'ServicePortError', message: `${what} is not listening on port ${port}` }
}

async function ask(entry: Entry): Promise<Verdict> {
  const path = `/apis/${entry.group}/${entry.version}`
  try {
    const text = await read(entry, path)
    entry.resources = listed(text)
    return { status: 'True', reason: 'Passed', message: 'all checks passed' }
  } catch (error) {
    const message = `failing or missing response from https://${entry.host}${path}: ${(error as Error).message}`
    return { status: 'False', reason: 'FailedDiscoveryCheck', message: message.slice(0, 1024) }
  }
}

function read({ agent, host }: Entry, path: string): Promise<string> {
  const user = { username: 'system:kube-aggregator', groups: [SUPERUSERS] }
  return new Promise((resolve, reject) => {
    const request = httpsRequest(
      {
        host,
        path,
        agent,
        signal: AbortSignal.timeout(PATIENCE_MS),
        headers: ['Host', host, 'Accept', 'application/json', ...userHeaders(user)],
      },
      (response) => {
        const chunks: Buffer[] = []
        let bytes = 0
        response.on('data', (chunk: Buffer) => {
          bytes += chunk.length
          if (bytes <= MOST_LIST_BYTES) chunks.push(chunk)
          else request.destroy(new Error(`its answer is longer than ${MOST_LIST_BYTES} bytes`))
        })
        response.on('error', reject)
        response.on('end', () => {
          const { statusCode = 0 } = response
          if (statusCode >= 200 && statusCode < 300) resolve(Buffer.concat(chunks).toString())
          else reject(new Error(`bad status: ${statusCode}`))
        })
      },
    )
    onOtherProtocol(request, (statusCode) => reject(new Error(`bad status: ${statusCode}`)))
    request.on('error', reject)
    request.end()
  })
}

/** Of what it says, what discovery here repeats: no more than strings and flags, whoever wrote it. */
function listed(text: string): RemoteResource[] {
  const { resources } = JSON.parse(text) as { resources?: unknown }
  if (!Array.isArray(resources)) throw new Error('it is no APIResourceList')
  return resources.map((each: Partial<Record<keyof RemoteResource, unknown>>) => {
    const { name, kind, namespaced, singularName, group, version } = each
    if (typeof name !== 'string' || typeof kind !== 'string') throw new Error('it has a resource without name or kind')
    const [verbs, shortNames, categories] = [each.verbs, each.shortNames, each.categories].map(texts)
    return {
      name,
      kind,
      namespaced: namespaced === true,
      verbs: verbs ?? [],
      ...(typeof singularName === 'string' && { singularName }),
      ...(typeof group === 'string' && group !== '' && { group }),
      ...(typeof version === 'string' && version !== '' && { version }),
      ...(shortNames && shortNames.length > 0 && { shortNames }),
      ...(categories && categories.length > 0 && { categories }),
    }
  })
}

function texts(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((each) => typeof each === 'string') : []
}
