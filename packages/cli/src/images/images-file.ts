/** `images.yaml` in the data directory: where images may come from, and what they may take. */
import { dirname, isAbsolute, join } from 'node:path'
import type { RegistryConfig, RegistryHost } from '@caisson/runtime'
import { CliError } from '../cli-error.ts'
import { fields, readSettings } from '../settings-file.ts'

export interface ImageSettings {
  registries: RegistryConfig
  /** Of all images together. */
  maxBytes: number | undefined
}

const TOP = ['mirrors', 'hosts', 'maxBytes']
const HOST = { caFile: 'string', plainHttp: 'boolean', skipVerify: 'boolean' } as const

/** An empty configuration where there is no file. Throws a CliError that says what is wrong with it. */
export async function readImageSettings(file: string): Promise<ImageSettings> {
  const top = await readSettings(file, TOP)
  if (!top) return { registries: {}, maxBytes: undefined }
  const mirrors = Object.entries(fields(top['mirrors'] ?? {}, { file, where: 'mirrors' }))
  const hosts = Object.entries(fields(top['hosts'] ?? {}, { file, where: 'hosts' }))
  const registries = {
    mirrors: Object.fromEntries(mirrors.map(([host, list]) => [host, mirrorList(list, { file, host })])),
    hosts: Object.fromEntries(hosts.map(([host, settings]) => [host, hostSettings(settings, { file, host })])),
  }
  return { registries, maxBytes: bytesOf(top['maxBytes'], file) }
}

const UNITS: Record<string, number> = { '': 1, Ki: 2 ** 10, Mi: 2 ** 20, Gi: 2 ** 30, Ti: 2 ** 40 }

function bytesOf(value: unknown, file: string): number | undefined {
  if (value === undefined) return undefined
  const match = /^(\d{1,15})(Ki|Mi|Gi|Ti|)$/.exec(
    typeof value === 'number' || typeof value === 'string' ? String(value) : '',
  )
  if (match) return Number(match[1]) * (UNITS[match[2] ?? ''] ?? 1)
  throw new CliError('usage', `${file}: maxBytes is no number of bytes such as 20Gi`)
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
