/** Which part of a cluster a controller process works on: some namespaces, or one of several shards. */
import { dns1123Label, nameHash } from '@caisson/api'
import type { InformersScope } from '@caisson/client'
import { CliError } from '../cli-error.ts'

export interface Shard {
  index: number
  count: number
}

export interface WorkScope extends InformersScope {
  shard: Shard | undefined
}

const MAX_SHARDS = 32
/** Each has a watch of its own for every kind. */
const MAX_NAMESPACES = 100

/** @throws CliError that names the flag */
export function parseWorkScope(flags: { namespaces?: string; shard?: string }): WorkScope {
  const shard = flags.shard === undefined ? undefined : parseShard(flags.shard)
  const namespaces = flags.namespaces ? parseNamespaces(flags.namespaces) : undefined
  return {
    shard,
    ...(namespaces && { namespaces: shard ? namespaces.filter((name) => isOfShard(name, shard)) : namespaces }),
    ...(shard && { wantsNamespace: (name) => isOfShard(name, shard) }),
  }
}

/** Of each namespace exactly one of the shards is told so. */
export function isOfShard(namespace: string, { index, count }: Shard): boolean {
  return Number.parseInt(nameHash(namespace), 16) % count === index
}

function parseShard(text: string): Shard {
  const match = /^(\d{1,2})\/(\d{1,2})$/.exec(text)
  const [index, count] = [Number(match?.[1]), Number(match?.[2])]
  if (!match || count < 1 || count > MAX_SHARDS || index >= count)
    throw new CliError(
      'usage',
      `--shard takes INDEX/COUNT with an index from 0 and at most ${MAX_SHARDS} shards, such as 0/3, not ${JSON.stringify(text)}`,
    )
  return { index, count }
}

function parseNamespaces(text: string): string[] {
  const names = [...new Set(text.split(',').map((name) => name.trim()))]
  const wrong = names.find((name) => dns1123Label(name).length > 0)
  if (wrong !== undefined)
    throw new CliError('usage', `--namespaces takes names separated by commas, and ${JSON.stringify(wrong)} is none`)
  if (names.length > MAX_NAMESPACES)
    throw new CliError(
      'usage',
      `--namespaces takes at most ${MAX_NAMESPACES}, since each has watches of its own, not ${names.length}: leave it out and use --shard`,
    )
  return names
}
