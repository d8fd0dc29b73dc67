/** Credential plugins: a command that prints an ExecCredential (client.authentication.k8s.io, v1 and v1beta1). */
import { spawn } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { isatty } from 'node:tty'
import type { ClusterConnection, ExecPlugin } from './cluster-connection.ts'
import { TransportError } from './transport-error.ts'

export interface ExecCredential {
  token?: string
  certificate?: { certificate: string; key: string }
  /** ms since the epoch; undefined: until the server refuses it. */
  expiresAt?: number
}

const OUTPUT_LIMIT = 1024 * 1024
const STDERR_SHOWN = 2048
/** A plugin that nobody can answer must not hold up every request for ever. */
const UNATTENDED_MS = 60_000

export async function runExecPlugin(plugin: ExecPlugin, connection: ClusterConnection): Promise<ExecCredential> {
  const interactive = isInteractive(plugin)
  const info = {
    apiVersion: plugin.apiVersion,
    kind: 'ExecCredential',
    spec: { interactive, ...(plugin.provideClusterInfo && { cluster: await clusterInfo(plugin, connection) }) },
  }
  const output = await run(plugin, interactive, JSON.stringify(info))
  return readCredential(plugin, output)
}

function isInteractive(plugin: ExecPlugin): boolean {
  if (plugin.interactiveMode === 'Never') return false
  const terminal = isatty(0)
  if (plugin.interactiveMode === 'Always' && !terminal) {
    throw failed(
      plugin,
      'needs a terminal to ask its questions on, and standard input is none (interactiveMode Always)',
    )
  }
  return terminal
}

async function clusterInfo(plugin: ExecPlugin, connection: ClusterConnection) {
  const authority = connection.certificateAuthority
  const pem = authority && ('data' in authority ? authority.data : await readFile(authority.file, 'utf8'))
  return {
    server: connection.server,
    'tls-server-name': connection.tlsServerName,
    'insecure-skip-tls-verify': connection.insecureSkipTlsVerify || undefined,
    'certificate-authority-data': pem && Buffer.from(pem).toString('base64'),
    'proxy-url': connection.proxyUrl,
    config: plugin.clusterConfig,
  }
}

function run(plugin: ExecPlugin, interactive: boolean, info: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const env: NodeJS.ProcessEnv = { ...process.env, KUBERNETES_EXEC_INFO: info }
    for (const { name, value } of plugin.env) env[name] = value
    const child = spawn(plugin.command, plugin.args, {
      env,
      stdio: [interactive ? 'inherit' : 'ignore', 'pipe', interactive ? 'inherit' : 'pipe'],
      ...(!interactive && { timeout: UNATTENDED_MS, killSignal: 'SIGKILL' }),
    })
    let output = ''
    let complaint = ''
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      output += text
      if (output.length > OUTPUT_LIMIT) child.kill('SIGKILL')
    })
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      complaint = (complaint + text).slice(-STDERR_SHOWN)
    })
    child.once('error', (error: NodeJS.ErrnoException) => {
      const hint = error.code === 'ENOENT' && plugin.installHint ? `\n${plugin.installHint}` : ''
      reject(failed(plugin, `could not be started: ${error.message}${hint}`, error))
    })
    child.once('close', (code, signal) => {
      if (code === 0) resolve(output)
      else if (output.length > OUTPUT_LIMIT) reject(failed(plugin, `printed more than ${OUTPUT_LIMIT} bytes`))
      else if (signal) reject(failed(plugin, `was ended by ${signal}${quoted(complaint)}`))
      else reject(failed(plugin, `failed with exit code ${code}${quoted(complaint)}`))
    })
  })
}

function quoted(complaint: string): string {
  const text = complaint.trim()
  return text && `: ${text}`
}

function readCredential(plugin: ExecPlugin, output: string): ExecCredential {
  let answer: unknown
  try {
    answer = JSON.parse(output)
  } catch (error) {
    // What it printed may be the secret: it is not shown.
    throw failed(plugin, 'printed something that is not JSON', error)
  }
  const credential = fields(answer)
  if (credential['kind'] !== 'ExecCredential') throw failed(plugin, 'printed JSON that is no ExecCredential')
  if (credential['apiVersion'] !== plugin.apiVersion) {
    throw failed(
      plugin,
      `answered in ${String(credential['apiVersion'])}, but the kubeconfig says ${plugin.apiVersion}`,
    )
  }
  const status = fields(credential['status'])
  const token = text(status['token'])
  const certificate = text(status['clientCertificateData'])
  const key = text(status['clientKeyData'])
  if ((certificate === undefined) !== (key === undefined)) {
    throw failed(plugin, 'returned only one of clientCertificateData and clientKeyData')
  }
  if (token === undefined && certificate === undefined) {
    throw failed(plugin, 'returned neither a token nor a client certificate')
  }
  const expiry = text(status['expirationTimestamp'])
  const expiresAt = expiry === undefined ? undefined : Date.parse(expiry)
  if (Number.isNaN(expiresAt)) throw failed(plugin, `returned an expirationTimestamp that is no time: ${expiry}`)
  return {
    ...(token !== undefined && { token }),
    ...(certificate !== undefined && key !== undefined && { certificate: { certificate, key } }),
    ...(expiresAt !== undefined && { expiresAt }),
  }
}

function fields(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined
}

function failed(plugin: ExecPlugin, what: string, cause?: unknown): TransportError {
  return new TransportError('credentials', `the credential plugin ${plugin.command} ${what}`, { cause })
}
