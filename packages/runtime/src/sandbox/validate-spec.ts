import { isAbsolute, normalize } from 'node:path'
import { type ContainerSpec, type SandboxSpec } from '../runtime.ts'
import { RuntimeError } from '../runtime-error.ts'
import { SENTRY_PARAMETERS } from './inside.ts'

const ID = /^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?$/
const HOSTNAME = /^[a-zA-Z0-9](?:[a-zA-Z0-9.-]*[a-zA-Z0-9])?$/
const SYSCTL = /^[a-z0-9_-]+(?:\.[a-z0-9_-]+)+$/
const LARGEST_ID_NUMBER = 2 ** 32 - 2

/** Throws a `RuntimeError`: ids become names of files and arguments of commands. */
export function validateSandboxSpec(spec: SandboxSpec): void {
  requireId('sandbox', spec.id, 64)
  if (spec.hostname.length > 64 || !HOSTNAME.test(spec.hostname))
    throw invalid(`hostname ${quote(spec.hostname)} is not a host name of at most 64 characters`)
  for (const [name, value] of Object.entries(spec.sysctls ?? {})) {
    if (!SYSCTL.test(name) || /[\0\n]/.test(value))
      throw invalid(`${quote(`${name}=${value}`)} is not a kernel parameter`)
    if (spec.handler === 'runsc' && !(spec.shared && SENTRY_PARAMETERS.includes(name)))
      throw invalid(`the kernel parameter ${quote(name)} cannot be set in this sandbox of runsc`)
  }
}

export function validateContainerSpec(spec: ContainerSpec): void {
  requireId('container', spec.id, 72)
  requireAbsolute('logPath', spec.logPath)
  if (spec.cwd !== '') requireAbsolute('cwd', spec.cwd)
  for (const number of [spec.user.uid, spec.user.gid, ...spec.user.additionalGids]) {
    if (!Number.isInteger(number) || number < 0 || number > LARGEST_ID_NUMBER)
      throw invalid(`${quote(number)} is not a user or group id`)
  }
  for (const text of [...spec.args, ...Object.values(spec.env)])
    if (text.includes('\0')) throw invalid('an argument or environment value has a zero byte')
  for (const name of Object.keys(spec.env))
    if (!/^[^=\0]+$/.test(name)) throw invalid(`${quote(name)} is not the name of an environment variable`)
  for (const mount of spec.mounts) {
    requireAbsolute('the destination of a mount', mount.destination)
    if (normalize(mount.destination) === '/') throw invalid('nothing can be mounted over / of a container')
    if (mount.kind === 'bind') requireAbsolute('the source of a mount', mount.source ?? '')
  }
}

function requireId(what: string, id: string, longest: number): void {
  if (id.length > longest || !ID.test(id))
    throw invalid(`${what} id ${quote(id)} is not 1 to ${longest} lower-case letters, digits and dashes`)
}

function requireAbsolute(what: string, path: string): void {
  if (!isAbsolute(path) || path.includes('\0') || path.split('/').includes('..'))
    throw invalid(`${what} must be an absolute path without "..", found ${quote(path)}`)
}

function invalid(message: string): RuntimeError {
  return new RuntimeError('failed', message)
}

function quote(value: unknown): string {
  return JSON.stringify(String(value).slice(0, 200))
}
