/** `node.yaml` in the data directory: what Pods may have of this machine. */
import { normalize } from 'node:path'
import { CliError } from '../cli-error.ts'
import { readSettings } from '../settings-file.ts'

export interface NodeSettings {
  /** Directories: a hostPath volume has to be one of them or within one. Undefined: any. */
  hostPaths: readonly string[] | undefined
}

/** Throws a CliError that says what is wrong with it. */
export async function readNodeSettings(file: string): Promise<NodeSettings> {
  const { hostPaths } = (await readSettings(file, ['hostPaths'])) ?? {}
  if (hostPaths === undefined) return { hostPaths }
  const isList = Array.isArray(hostPaths) && hostPaths.every((path) => typeof path === 'string' && path.startsWith('/'))
  if (!isList) throw new CliError('usage', `${file}: hostPaths is no list of absolute paths such as /srv/shared`)
  return { hostPaths: (hostPaths as string[]).map((path) => normalize(path).replace(/(.)\/$/, '$1')) }
}
