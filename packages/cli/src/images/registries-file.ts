/** `registries.yaml` in the data directory: mirrors, authorities and exceptions for registries. */
import { existsSync, readFileSync } from 'node:fs'
import { dirname, isAbsolute, join } from 'node:path'
import type { RegistryConfig, RegistryHost } from '@caisson/runtime'
import { CliError } from '../cli-error.ts'

type Fields = Record<string, unknown>

const TOP = ['mirrors', 'hosts']
const HOST = { caFile: 'string', plainHttp: 'boolean', skipVerify: 'boolean' } as const

/** An empty configuration where there is no file. Throws a CliError that says what is wrong with it. */
export async function readRegistries(file: string): Promise<RegistryConfig> {
  if (!existsSync(file)) return {}
  const { parse } = await import('yaml')
  let content: unknown
  try {
    content = parse(readFileSync(file, 'utf8')) ?? {}
  } catch (cause) {
    throw new CliError('usage', `${file} is no YAML: ${(cause as Error).message}`, { cause })
  }
  const top = fields(content, { file, where: 'the file', known: TOP })
  const mirrors = Object.entries(fields(top['mirrors'] ?? {}, { file, where: 'mirrors' }))
  const hosts = Object.entries(fields(top['hosts'] ?? {}, { file, where: 'hosts' }))
  return {
    mirrors: Object.fromEntries(mirrors.map(([host, list]) => [host, mirrorList(list, { file, host })])),
    hosts: Object.fromEntries(hosts.map(([host, settings]) => [host, hostSettings(settings, { file, host })])),
  }
}

function mirrorList(list: unknown, { file, host }: { file: string; host: string }): string[] {
  const isList =
    Array.isArray(list) && list.every((each) => typeof each === 'string' && /^https?:\/\/[^/]+\/?$/.test(each))
  if (isList) return list as string[]
  throw new CliError('usage', `${file}: mirrors.${host} is no list of URLs such as https://mirror:5000`)
}

function hostSettings(value: unknown, { file, host }: { file: string; host: string }): RegistryHost {
  const where = `hosts.${host}`
  const settings = fields(value ?? {}, { file, where, known: Object.keys(HOST) })
  for (const [name, type] of Object.entries(HOST))
    if (settings[name] !== undefined && typeof settings[name] !== type)
      throw new CliError('usage', `${file}: ${where}.${name} is no ${type}`)
  const { caFile } = settings as RegistryHost
  return {
    ...(settings as RegistryHost),
    ...(caFile !== undefined && { caFile: isAbsolute(caFile) ? caFile : join(dirname(file), caFile) }),
  }
}

function fields(value: unknown, { file, where, known }: { file: string; where: string; known?: string[] }): Fields {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new CliError('usage', `${file}: ${where} is no mapping`)
  const unknown = Object.keys(value).find((name) => known && !known.includes(name))
  if (unknown !== undefined)
    throw new CliError(
      'usage',
      `${file}: ${where} has no field ${JSON.stringify(unknown)}: it may have ${known?.join(', ')}`,
    )
  return value as Fields
}
