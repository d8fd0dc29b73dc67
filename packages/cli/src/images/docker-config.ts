/** What `docker login` left: credentials in a file, or with a helper program that the file names. */
import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { createKeyring, type DockerAuth, type PullOptions } from '@caisson/runtime'
import { CliError } from '../cli-error.ts'

interface DockerConfig {
  auths?: Record<string, DockerAuth>
  /** Name of a helper for every server. */
  credsStore?: string
  /** By server. */
  credHelpers?: Record<string, string>
}

const DOCKER_HUB = 'docker.io'
const DOCKER_HUB_KEY = 'https://index.docker.io/v1/'
const HELPER_MS = 30_000
const ANOTHER = 'or name another directory with DOCKER_CONFIG'
const LOG_IN_AGAIN = "log in again, or remove it from Docker's configuration"

/** Credentials of the user who runs this, from `$DOCKER_CONFIG` or `~/.docker`. */
export function userCredentials(env = process.env): NonNullable<PullOptions['credentials']> {
  const file = join(env['DOCKER_CONFIG'] || join(homedir(), '.docker'), 'config.json')
  const config = readConfig(file)
  const keyring = createKeyring([{ auths: config.auths ?? {} }])
  return async (server, repository) => {
    const key = server === DOCKER_HUB ? DOCKER_HUB_KEY : server
    const helper = config.credHelpers?.[key] ?? config.credHelpers?.[server] ?? config.credsStore
    const kept = helper === undefined ? undefined : await askHelper(helper, key)
    return kept ? [kept] : keyring.lookup(server, repository)
  }
}

function readConfig(file: string): DockerConfig {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'ENOTDIR') return {}
    throw new CliError('failed', `${file} cannot be read (${code}): make it yours to read, ${ANOTHER}`, { cause })
  }
  const config = objectOf(text)
  if (config) return config
  throw new CliError('failed', `${file} is no JSON object: correct it, ${ANOTHER}`)
}

/** Undefined where it is none. What is wrong with it is not said: that would quote what is to be kept. */
function objectOf(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined
  } catch {
    return undefined
  }
}

/** Undefined where the helper knows nothing of the server. */
async function askHelper(
  helper: string,
  server: string,
): Promise<{ username: string; password: string } | { identityToken: string } | undefined> {
  if (!/^[\w.-]+$/.test(helper))
    throw new CliError('failed', `${JSON.stringify(helper)} is no name of a credential helper`)
  const program = `docker-credential-${helper}`
  const { promise, resolve, reject } = Promise.withResolvers<string | undefined>()
  const child = execFile(program, ['get'], { timeout: HELPER_MS }, (error, stdout) => {
    if (!error) return resolve(stdout)
    if (/credentials not found/i.test(stdout)) return resolve(undefined)
    // What it says may hold what it keeps.
    reject(new CliError('failed', `${program} failed (${error.code ?? error.signal}): ${LOG_IN_AGAIN}`))
  })
  child.stdin?.on('error', () => {}).end(server)
  const answer = await promise
  if (answer === undefined) return undefined
  const { Username: username, Secret: secret } = objectOf(answer) ?? {}
  if (typeof username !== 'string' || typeof secret !== 'string')
    throw new CliError('failed', `${program} answered with no credentials: ${LOG_IN_AGAIN}`)
  return username === '<token>' ? { identityToken: secret } : { username, password: secret }
}
