/** Claims that come and go on a pool, and what has to hold whoever works on them and however often that changes. */
import { setTimeout as delay } from 'node:timers/promises'
import { controllerOf, isConditionTrue, type Sandbox, type SandboxClaim } from '../../packages/api/src/index.ts'
import {
  type Client,
  createInformers,
  isAlreadyExists,
  isNotFound,
  resources,
  sandboxClaims,
  sandboxes,
  sandboxTemplates,
  sandboxWarmPools,
} from '../../packages/client/src/index.ts'

export interface ClaimLoadOptions {
  client: Client
  namespace: string
  /** Claims under way at once. */
  lanes: number
  /** Members of the pool, which is made for it. */
  pool: number
  /** Of the namespace's claims; each load its own, since names come again. */
  name: string
}

export interface ClaimLoad extends AsyncDisposable {
  /** How many claims were Ready until now. */
  readonly served: number
  /** What was wrong until now, in sentences. */
  readonly broken: readonly string[]
  /** Resolves when so many more are Ready. Rejects after `SERVED_MS`. */
  serves(count: number): Promise<void>
  /** Makes no further ones; resolves when each that was made is Ready, and all that is too many is gone. */
  finish(): Promise<void>
}

const SERVED_MS = 60_000
const RETRY_MS = 100

/** Resolves when the pool is full and the claims have begun. */
export async function startClaimLoad(options: ClaimLoadOptions): Promise<ClaimLoad> {
  const { client, namespace, lanes, pool, name } = options
  const at = { namespace }
  const stack = new AsyncDisposableStack()
  const informers = stack.use(createInformers(client))
  const claims = informers.of(sandboxClaims, at)
  const boxes = informers.of(sandboxes, at)
  const pods = informers.of(resources.pods, at)
  await informers.synced(AbortSignal.timeout(SERVED_MS))

  const broken: string[] = []
  /** Whose each Sandbox is, by UIDs, and which each claim has: neither ever changes. */
  const owners = new Map<string, string>()
  const given = new Map<string, string>()
  const looks = new Set<() => void>()
  const ended = new AbortController()
  let served = 0
  const stop = new AbortController()

  function sawSandbox(sandbox: Sandbox): void {
    const owner = controllerOf(sandbox)
    if (owner?.kind === 'SandboxClaim') once(owners, sandbox.metadata.uid ?? '', owner.uid, 'Sandbox')
    look()
  }
  function sawClaim(claim: SandboxClaim): void {
    const sandbox = claim.status?.sandbox?.name
    if (sandbox) once(given, claim.metadata.uid ?? '', sandbox, 'claim')
    look()
  }
  function once(known: Map<string, string>, key: string, value: string, what: string): void {
    const before = known.get(key)
    if (before !== undefined && before !== value) broken.push(`${what} ${key} went from ${before} to ${value}`)
    known.set(key, value)
  }
  function look(): void {
    for (const each of looks) each()
  }
  stack.use(boxes.handle({ added: sawSandbox, updated: (_old, sandbox) => sawSandbox(sandbox), deleted: look }))
  stack.use(claims.handle({ added: sawClaim, updated: (_old, claim) => sawClaim(claim), deleted: look }))
  stack.use(pods.handle({ added: look, updated: look, deleted: look }))

  function until(what: string, holds: () => boolean): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const check = (): void => void (holds() && resolve())
    const timer = setTimeout(() => reject(new Error(`not within ${SERVED_MS} ms: ${what}; ${state()}`)), SERVED_MS)
    looks.add(check)
    check()
    return promise.finally(() => {
      clearTimeout(timer)
      looks.delete(check)
    })
  }

  /** The other requests of a test's load come and go with the server: they are made until they are answered. */
  async function insist(request: () => Promise<unknown>, isDone: (error: unknown) => boolean): Promise<void> {
    for (;;) {
      try {
        await request()
        return
      } catch (error) {
        if (isDone(error)) return
        await delay(RETRY_MS, undefined, { signal: ended.signal })
      }
    }
  }
  const isReady = (key: string): boolean => isConditionTrue(claims.get(key)?.status?.conditions, 'Ready')

  async function lane(index: number): Promise<void> {
    for (let count = 0; !stop.signal.aborted; count++) {
      const own = `${name}-${index}-${count}`
      const claim = { metadata: { name: own }, spec: { warmPoolRef: { name } } }
      await insist(() => client.create(sandboxClaims, claim, at), isAlreadyExists)
      await until(`claim ${own} is Ready`, () => isReady(`${namespace}/${own}`))
      served++
      look()
      // Every third stays.
      if (count % 3 !== 0) await insist(() => client.delete(sandboxClaims, own, at), isNotFound)
    }
  }

  /** What is there, as far as it matters. */
  function state(): string {
    const states = claims
      .list()
      .filter(({ metadata }) => !isReady(`${namespace}/${metadata.name}`))
      .map(({ metadata, status }) => `${metadata.name} ${JSON.stringify(status?.conditions ?? [])}`)
    return `${served} served, ${claims.size} claims, ${boxes.size} Sandboxes, ${pods.size} Pods; not Ready: ${states.join('; ')}`
  }

  const containers = [{ name: 'main', image: 'example.com/main' }]
  await client.create(sandboxTemplates, { metadata: { name }, spec: { podTemplate: { spec: { containers } } } }, at)
  const spec = { replicas: pool, sandboxTemplateRef: { name } }
  await client.create(sandboxWarmPools, { metadata: { name }, spec }, at)
  await until('the pool is full', () => pods.list().filter(({ status }) => status?.phase === 'Running').length >= pool)
  const running = Promise.all(Array.from({ length: lanes }, (_, index) => lane(index)))
  // Awaited in `finish`.
  running.catch(() => {})

  return {
    get served() {
      return served
    },
    broken,
    async serves(count) {
      const enough = served + count
      await until(`${count} more claims`, () => served >= enough)
    },
    async finish() {
      stop.abort()
      await running
      const all = (): number => claims.size + pool
      await until('as many Sandboxes and Pods as claims and members', () => boxes.size === all() && pods.size === all())
      const names = claims.list().map(({ status }) => status?.sandbox?.name ?? '')
      if (new Set(names).size !== names.length) broken.push(`claims share Sandboxes: ${names.sort().join()}`)
      for (const { metadata, status } of claims.list())
        if (owners.get(boxes.get(`${namespace}/${status?.sandbox?.name}`)?.metadata.uid ?? '') !== metadata.uid)
          broken.push(`claim ${metadata.name} is not the owner of ${status?.sandbox?.name}`)
      for (const { metadata } of claims.list())
        await insist(() => client.delete(sandboxClaims, metadata.name ?? '', at), isNotFound)
      await insist(() => client.delete(sandboxWarmPools, name, at), isNotFound)
      await insist(() => client.delete(sandboxTemplates, name, at), isNotFound)
      await until('nothing is left', () => claims.size + boxes.size + pods.size === 0)
    },
    async [Symbol.asyncDispose]() {
      stop.abort()
      ended.abort()
      await stack[Symbol.asyncDispose]()
    },
  }
}
