/** Where the Authorization header and the client certificate come from, and when they are read again. */
import { readFile } from 'node:fs/promises'
import type { ClusterConnection, Material } from './cluster-connection.ts'
import { type ExecCredential, runExecPlugin } from './exec-plugin.ts'
import { messageOf, TransportError } from './transport-error.ts'

/** What a request authenticates with. Equal certificates are the same strings. */
export interface Credential {
  authorization?: string
  certificate?: { certificate: string; key: string }
}

export interface Credentials {
  /** What is valid now; reads or runs what has to be. Rejects with a TransportError `credentials`. */
  current(): Promise<Credential>
  /** The server said 401 to `refused`: whatever is cached of it is not used again. True when asking again may help. */
  renew(refused: Credential): boolean
}

/** client-go's figure: the kubelet renews a projected token long before it expires. */
const TOKEN_FILE_MS = 60_000
const TOKEN_FILE_LIMIT = 64 * 1024

export function createCredentials(connection: ClusterConnection): Credentials {
  if (connection.exec) return pluginCredentials(connection, connection.exec)
  if (connection.tokenFile) return tokenFileCredentials(connection.tokenFile)
  const fixed: Credential = connection.token
    ? { authorization: bearer(connection.token, 'the token') }
    : connection.basic
      ? { authorization: basic(connection.basic) }
      : {}
  return { current: () => Promise.resolve(fixed), renew: () => false }
}

function tokenFileCredentials(file: string): Credentials {
  let cached: { credential: Credential; readAt: number } | undefined
  const read = singleFlight(async () => {
    try {
      const text = await readFile(file, 'utf8')
      if (text.length > TOKEN_FILE_LIMIT) throw new Error(`is larger than ${TOKEN_FILE_LIMIT} bytes`)
      const token = text.trim()
      if (!token) throw new Error('is empty')
      cached = { credential: { authorization: bearer(token, file) }, readAt: performance.now() }
    } catch (error) {
      // The old token may still be good: a rotation that is under way must not stop everything.
      if (cached) cached.readAt = performance.now()
      else {
        throw new TransportError('credentials', `cannot use the token file ${file}: ${messageOf(error)}`, {
          cause: error,
        })
      }
    }
  })
  return {
    async current() {
      if (!cached || performance.now() - cached.readAt > TOKEN_FILE_MS) await read()
      return cached?.credential ?? {}
    },
    renew(refused) {
      if (cached?.credential === refused) cached = undefined
      return true
    },
  }
}

function pluginCredentials(connection: ClusterConnection, plugin: NonNullable<ClusterConnection['exec']>): Credentials {
  let cached: { credential: Credential; expiresAt: number | undefined } | undefined
  const run = singleFlight(async () => {
    const answer = await runExecPlugin(plugin, connection)
    cached = { credential: toCredential(answer, plugin.command), expiresAt: answer.expiresAt }
  })
  return {
    async current() {
      if (!cached || (cached.expiresAt !== undefined && cached.expiresAt <= Date.now())) await run()
      return cached?.credential ?? {}
    },
    renew(refused) {
      if (cached?.credential === refused) cached = undefined
      return true
    },
  }
}

function toCredential(answer: ExecCredential, command: string): Credential {
  return {
    ...(answer.token && { authorization: bearer(answer.token, `the answer of ${command}`) }),
    ...(answer.certificate && { certificate: answer.certificate }),
  }
}

/** A token goes into a header: whatever could end the header's line is no token. */
function bearer(token: string, source: string): string {
  if (!/^[\x21-\x7e]+$/.test(token)) {
    throw new TransportError('credentials', `${source} holds characters that a bearer token cannot have`)
  }
  return `Bearer ${token}`
}

function basic({ username, password }: NonNullable<ClusterConnection['basic']>): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`
}

export async function readMaterial(material: Material, what: string): Promise<string> {
  if ('data' in material) return material.data
  try {
    return await readFile(material.file, 'utf8')
  } catch (error) {
    throw new TransportError('credentials', `cannot read the ${what} ${material.file}: ${messageOf(error)}`, {
      cause: error,
    })
  }
}

/** Calls that come while one runs wait for that one. */
export function singleFlight(work: () => Promise<void>): () => Promise<void> {
  let running: Promise<void> | undefined
  return () => {
    running ??= work().finally(() => {
      running = undefined
    })
    return running
  }
}
