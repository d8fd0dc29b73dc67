/** kubeconfig files: finding, reading and merging them, and what their contexts come down to. */
import { readFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { delimiter, dirname, isAbsolute, join, resolve } from 'node:path'
import { yamlProblem } from '@caisson/api'
import type { ClusterConnection, ExecPlugin, Impersonation, Material } from './cluster-connection.ts'
import { createFields, type Fields, KubeconfigError } from './kubeconfig-fields.ts'
import { PROXY_PROTOCOLS } from './proxy.ts'
import { proxyFromEnvironment } from './proxy-environment.ts'

export interface LoadKubeconfigOptions {
  /** This one file, which has to exist, instead of what the environment says. */
  path?: string
  /** Default: the process's own. */
  env?: NodeJS.ProcessEnv
}

export interface Kubeconfig {
  /** The files that were read, the first one wins. */
  readonly files: readonly string[]
  readonly currentContext: string | undefined
  readonly contexts: readonly string[]
  /** What `context` (default: the current one) comes down to. Throws a KubeconfigError that names file and field. */
  connection(options?: { context?: string }): ClusterConnection
}

interface Named {
  file: string
  fields: Fields
}

/**
 * Reads the files of KUBECONFIG (a list of paths) or `~/.kube/config`, or `options.path` alone. Of the same name in
 * several files the first one counts, and files of the list that are not there are left out, as kubectl does.
 */
export async function loadKubeconfig(options: LoadKubeconfigOptions = {}): Promise<Kubeconfig> {
  const env = options.env ?? process.env
  const files: string[] = []
  const clusters = new Map<string, Named>()
  const users = new Map<string, Named>()
  const contexts = new Map<string, Named>()
  let currentContext: string | undefined
  for (const path of pathsOf(options.path, env)) {
    const text = await readIfThere(path, options.path !== undefined)
    if (text === undefined) continue
    files.push(path)
    const root = createFields(path, await parseConfig(path, text))
    currentContext ??= root.text('current-context')
    collect(root, 'clusters', 'cluster', clusters)
    collect(root, 'users', 'user', users)
    collect(root, 'contexts', 'context', contexts)
  }

  function connection(asked: { context?: string } = {}): ClusterConnection {
    const name = asked.context ?? currentContext
    const searched = files.length > 0 ? files.join(', ') : pathsOf(options.path, env).join(', ')
    if (files.length === 0) throw nothingThere(searched, env)
    if (name === undefined) {
      const way = contexts.size > 0 ? ` (there are: ${[...contexts.keys()].join(', ')})` : ''
      throw new KubeconfigError(`${searched}: no current-context is set; name one${way}`)
    }
    const context = contexts.get(name)
    if (!context) {
      const known = contexts.size > 0 ? `there are: ${[...contexts.keys()].join(', ')}` : 'there are none'
      throw new KubeconfigError(`${searched}: there is no context ${JSON.stringify(name)}; ${known}`, {
        code: 'kubeconfig-missing',
      })
    }
    const clusterName = context.fields.required('cluster')
    const cluster = clusters.get(clusterName)
    if (!cluster) {
      throw context.fields.error('cluster', `names ${JSON.stringify(clusterName)}, which no file describes`)
    }
    const userName = context.fields.text('user')
    const user = userName === undefined ? undefined : users.get(userName)
    if (userName !== undefined && !user) {
      throw context.fields.error('user', `names ${JSON.stringify(userName)}, which no file describes`)
    }
    return {
      namespace: context.fields.text('namespace') ?? 'default',
      ...clusterPart(cluster.fields, env),
      ...(user && userPart(user.fields, cluster.fields)),
    }
  }

  return { files, currentContext, contexts: [...contexts.keys()], connection }
}

function pathsOf(path: string | undefined, env: NodeJS.ProcessEnv): string[] {
  if (path !== undefined) return [resolve(path)]
  const listed = env['KUBECONFIG']?.split(delimiter).filter((each) => each !== '') ?? []
  if (listed.length > 0) return [...new Set(listed.map((each) => resolve(each)))]
  return [join(env['HOME'] || homedir(), '.kube', 'config')]
}

function nothingThere(searched: string, env: NodeJS.ProcessEnv): KubeconfigError {
  const message = env['KUBECONFIG']
    ? `KUBECONFIG names ${searched}, and nothing is there: set it to a file that is, or unset it`
    : `there is no kubeconfig: ${searched} does not exist; set KUBECONFIG`
  return new KubeconfigError(message, { code: 'kubeconfig-missing' })
}

async function readIfThere(path: string, required: boolean): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (!required && code === 'ENOENT') return undefined
    const why = code === 'ENOENT' ? 'does not exist' : `cannot be read (${code})`
    const message = `${path} ${why}: name a kubeconfig that is there and yours to read`
    throw new KubeconfigError(message, { code: 'kubeconfig-missing', cause: error })
  }
}

async function parseConfig(path: string, text: string): Promise<unknown> {
  // JSON is YAML, and its parser is there already; where something is wrong, the other one says where, and nothing of the text.
  const json = text.trimStart().startsWith('{') ? jsonOf(text) : undefined
  if (json !== undefined) return json
  const { parse } = await import('yaml')
  try {
    return parse(text) ?? {}
  } catch (error) {
    const problem = yamlProblem(error as Error, path)
    throw new KubeconfigError(`${problem}: correct the file, or name another kubeconfig`, { cause: error })
  }
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function collect(root: Fields, list: string, entry: string, into: Map<string, Named>): void {
  for (const item of root.list(list)) {
    const name = item.required('name')
    // The file's own words, not only its path: error messages quote the name.
    if (!into.has(name))
      into.set(name, { file: root.file, fields: item.object(entry, `${list}[${JSON.stringify(name)}].${entry}`) })
  }
}

function clusterPart(cluster: Fields, env: NodeJS.ProcessEnv): Omit<ClusterConnection, 'namespace'> {
  const server = cluster.required('server')
  const url = cluster.url('server', server)
  if (!/^https?:$/.test(url.protocol)) {
    throw cluster.error('server', `has to begin with https:// or http://, and is ${JSON.stringify(server)}`)
  }
  const certificateAuthority = material(cluster, 'certificate-authority')
  const insecure = cluster.flag('insecure-skip-tls-verify')
  if (insecure && certificateAuthority) {
    throw cluster.error(
      'insecure-skip-tls-verify',
      'is set together with a certificate authority; remove one of the two: without verification the authority means nothing',
    )
  }
  const tlsServerName = cluster.text('tls-server-name')
  const proxyUrl = cluster.text('proxy-url') ?? proxyFromEnvironment(url, env)
  if (proxyUrl !== undefined && !PROXY_PROTOCOLS.includes(cluster.url('proxy-url', proxyUrl).protocol)) {
    throw cluster.error('proxy-url', `has to begin with ${PROXY_PROTOCOLS.map((each) => `${each}//`).join(', ')}`)
  }
  return {
    server,
    ...(certificateAuthority && { certificateAuthority }),
    ...(insecure && { insecureSkipTlsVerify: true }),
    ...(tlsServerName !== undefined && { tlsServerName }),
    ...(proxyUrl !== undefined && { proxyUrl }),
  }
}

function userPart(user: Fields, cluster: Fields): Partial<ClusterConnection> {
  if (user.has('auth-provider')) throw authProviderError(user)
  const certificate = material(user, 'client-certificate')
  const key = material(user, 'client-key')
  if (certificate && !key) throw user.error('client-key', 'is missing beside the client certificate')
  if (key && !certificate) throw user.error('client-certificate', 'is missing beside the client key')
  const token = user.text('token')
  const tokenFile = user.text('tokenFile')
  const exec = user.has('exec') ? execPlugin(user.object('exec'), cluster) : undefined
  const impersonate = impersonation(user)
  const basic = basicPart(user)
  const hasToken = token !== undefined || tokenFile !== undefined
  if (basic && hasToken) throw user.error('username', 'is set together with a token; remove one of the two')
  return {
    ...(certificate && key && { clientCertificate: { certificate, key } }),
    ...(token !== undefined && { token }),
    ...(tokenFile !== undefined && { tokenFile: beside(user.file, tokenFile) }),
    // A token that is written down wins over the plugin, as in client-go.
    ...(exec && !hasToken && !basic && { exec }),
    ...(basic && { basic }),
    ...(impersonate && { impersonate }),
  }
}

function authProviderError(user: Fields): KubeconfigError {
  const name = user.object('auth-provider').text('name') ?? ''
  if (name === 'gcp' || name === 'azure') {
    const plugin = name === 'gcp' ? 'gke-gcloud-auth-plugin' : 'kubelogin'
    return user.error('auth-provider', `is ${name}, which kubectl left out in 1.26; use the exec plugin ${plugin}`)
  }
  return user.error(
    'auth-provider',
    `is ${JSON.stringify(name)}, which is not supported here; use an exec plugin (for oidc: kubectl oidc-login get-token)`,
  )
}

function basicPart(user: Fields): ClusterConnection['basic'] {
  const username = user.text('username')
  const password = user.text('password')
  if (username === undefined && password === undefined) return undefined
  return { username: username ?? '', password: password ?? '' }
}

function impersonation(user: Fields): Impersonation | undefined {
  const as = user.text('as')
  const groups = user.texts('as-groups')
  const uid = user.text('as-uid')
  const extra = user.has('as-user-extra') ? user.object('as-user-extra').textLists() : undefined
  if (as === undefined) {
    if (groups.length > 0 || uid !== undefined || extra)
      throw user.error('as', 'is missing: who is to be impersonated?')
    return undefined
  }
  return { user: as, groups, ...(uid !== undefined && { uid }), ...(extra && { extra }) }
}

const EXEC_VERSIONS = ['client.authentication.k8s.io/v1', 'client.authentication.k8s.io/v1beta1'] as const
const INTERACTIVE_MODES = ['Never', 'IfAvailable', 'Always'] as const

function execPlugin(exec: Fields, cluster: Fields): ExecPlugin {
  const apiVersion = exec.oneOf('apiVersion', EXEC_VERSIONS)
  if (apiVersion === undefined) throw exec.error('apiVersion', `is missing; it is one of ${EXEC_VERSIONS.join(', ')}`)
  const interactiveMode = exec.oneOf('interactiveMode', INTERACTIVE_MODES)
  if (interactiveMode === undefined && apiVersion === EXEC_VERSIONS[0]) {
    throw exec.error('interactiveMode', `is missing; ${apiVersion} asks for one of ${INTERACTIVE_MODES.join(', ')}`)
  }
  const command = exec.required('command')
  return {
    apiVersion,
    // With a slash a path, which counts from the file; without one it is looked for in PATH.
    command: command.includes('/') ? beside(exec.file, command) : command,
    args: exec.texts('args'),
    env: exec.list('env').map((each) => ({ name: each.required('name'), value: each.text('value') ?? '' })),
    interactiveMode: interactiveMode ?? 'IfAvailable',
    provideClusterInfo: exec.flag('provideClusterInfo'),
    installHint: exec.text('installHint'),
    clusterConfig: cluster
      .list('extensions')
      .find((each) => each.text('name') === 'client.authentication.k8s.io/exec')
      ?.value('extension'),
  }
}

/** `NAME-data` in base64 wins over the file NAME. */
function material(fields: Fields, name: string): Material | undefined {
  const encoded = fields.text(`${name}-data`)
  if (encoded !== undefined) {
    const data = Buffer.from(encoded, 'base64').toString('utf8')
    if (!data.includes('-----BEGIN ')) throw fields.error(`${name}-data`, 'is not a PEM file in base64')
    return { data }
  }
  const file = fields.text(name)
  return file === undefined ? undefined : { file: beside(fields.file, file) }
}

function beside(file: string, path: string): string {
  return isAbsolute(path) ? path : join(dirname(file), path)
}
