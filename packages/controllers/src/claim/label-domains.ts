/** Under which domains claims may put labels on their Pods: what the administrator writes into a ConfigMap, as for agent-sandbox. */
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { abortableDelay, type Client, createInformer, isApiError, isNotFound, resources } from '@caisson/client'
import { DEFAULT_LABEL_DOMAINS } from '../blueprint/additional-metadata.ts'

/** agent-sandbox's. */
const NAME = 'agent-sandbox-config'
const KEY = 'allowed-label-domains'

export interface LabelDomains extends AsyncDisposable {
  /** Of now. */
  readonly allowed: readonly string[]
}

interface FollowOptions {
  client: Client
  /** Where the ConfigMap may be mounted: if it is, the API server is not asked. */
  directory?: string | undefined
  /** Of the controllers. */
  namespace: string
  signal: AbortSignal
  changed(): void
  onError(error: unknown): void
}

/** ms between looks at the file: a ConfigMap that was changed takes a kubelet up to a minute to mount. */
const LOOK_MS = 1_000
/** ms between questions that nobody answers. */
const ASK_AGAIN_MS = 1_000

/** As they are where the Pod of the controllers has them, or as the API server has them. */
export function followLabelDomains(options: FollowOptions): Promise<LabelDomains> {
  const { directory } = options
  return directory !== undefined && existsSync(directory) ? followFile(directory, options) : followConfigMap(options)
}

/**
 * A ConfigMap that is optional and missing is an empty directory. Where the file cannot be read, what it said last is allowed,
 * and nothing until it has said something.
 */
async function followFile(directory: string, { changed, onError }: FollowOptions): Promise<LabelDomains> {
  const file = join(directory, KEY)
  let problem: string | undefined
  let allowed: readonly string[] = []
  const read = async (): Promise<readonly string[]> => {
    try {
      const domains = labelDomains({ [KEY]: await readFile(file, 'utf8') })
      problem = undefined
      return domains
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException
      if (code === 'ENOENT') return DEFAULT_LABEL_DOMAINS
      // Once, however often it is looked at.
      if (message !== problem) onError(error)
      problem = message
      return allowed
    }
  }
  allowed = await read()
  const readAgain = async (): Promise<void> => {
    const next = await read()
    if (next.join() === allowed.join()) return
    allowed = next
    changed()
  }
  let reading = Promise.resolve()
  // Not by its directory's events: a machine may have no more of them to give.
  const looks = setInterval(() => {
    reading = reading.then(readAgain)
  }, LOOK_MS)
  return {
    get allowed() {
      return allowed
    },
    async [Symbol.asyncDispose]() {
      clearInterval(looks)
      await reading
    },
  }
}

/**
 * Begins with what is there, so that no claim is refused for what has not been read yet, and follows it. Where the
 * ConfigMap may not be read, agent-sandbox's own domain counts.
 */
async function followConfigMap(options: FollowOptions): Promise<LabelDomains> {
  const { client, namespace, changed } = options
  let allowed = await readConfigMap(options)
  const informer = createInformer(client, resources.configMaps, {
    namespace,
    fieldSelector: `metadata.name=${NAME}`,
  })
  const take = (data: Readonly<Record<string, string>> | undefined): void => {
    const next = labelDomains(data)
    if (next.join() === allowed.join()) return
    allowed = next
    changed()
  }
  informer.handle({
    added: ({ data }) => take(data),
    updated: (_old, { data }) => take(data),
    deleted: () => take(undefined),
  })
  return {
    get allowed() {
      return allowed
    },
    [Symbol.asyncDispose]: () => informer[Symbol.asyncDispose](),
  }
}

async function readConfigMap({ client, namespace, signal, onError }: FollowOptions): Promise<readonly string[]> {
  for (;;) {
    try {
      return labelDomains((await client.get(resources.configMaps, NAME, { namespace, signal })).data)
    } catch (error) {
      signal.throwIfAborted()
      if (!isNotFound(error)) onError(error)
      if (isApiError(error) && error.code < 500 && error.code !== 429) return DEFAULT_LABEL_DOMAINS
      // Clients give up on claims that are refused for their labels.
      await abortableDelay(ASK_AGAIN_MS, signal)
    }
  }
}

/** Separated by commas, spaces or lines. They stand in place of agent-sandbox's own, not beside it. */
function labelDomains(data: Readonly<Record<string, string>> = {}): readonly string[] {
  const named = (data[KEY] ?? '')
    .toLowerCase()
    .split(/[\s,]+/)
    .filter(Boolean)
  return named.length > 0 ? named : DEFAULT_LABEL_DOMAINS
}
