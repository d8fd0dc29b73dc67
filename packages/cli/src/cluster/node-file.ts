/** `node.yaml` in the data directory: what Pods may have of this machine. */
import { normalize } from 'node:path'
import { sysctlPatternProblem } from '@caisson/kubelet'
import { CliError } from '../cli-error.ts'
import { readSettings } from '../settings-file.ts'

export interface NodeSettings {
  /** Directories: a hostPath volume has to be one of them or within one. Undefined: any. */
  hostPaths: readonly string[] | undefined
  /** Kernel parameters that Pods may have beside the safe ones, as the kubelet's `--allowed-unsafe-sysctls` names them. */
  allowedUnsafeSysctls: readonly string[] | undefined
}

/** Throws a CliError that says what is wrong with it. */
export async function readNodeSettings(file: string): Promise<NodeSettings> {
  const given = (await readSettings(file, ['hostPaths', 'allowedUnsafeSysctls'])) ?? {}
  return {
    hostPaths: hostPathsOf(given['hostPaths'], file),
    allowedUnsafeSysctls: sysctlsOf(given['allowedUnsafeSysctls'], file),
  }
}

function hostPathsOf(value: unknown, file: string): readonly string[] | undefined {
  const paths = textsOf(value)
  if (value === undefined || paths?.every((path) => path.startsWith('/')))
    return paths?.map((path) => normalize(path).replace(/(.)\/$/, '$1'))
  throw new CliError('usage', `${file}: hostPaths is no list of absolute paths such as /srv/shared`)
}

function sysctlsOf(value: unknown, file: string): readonly string[] | undefined {
  const names = textsOf(value)
  if (value !== undefined && !names)
    throw new CliError('usage', `${file}: allowedUnsafeSysctls is no list of kernel parameters such as kernel.msg*`)
  for (const name of names ?? []) {
    const problem = sysctlPatternProblem(name)
    if (problem !== undefined) throw new CliError('usage', `${file}: allowedUnsafeSysctls: ${name} ${problem}`)
  }
  return names
}

/** Undefined where it is no list of texts. */
function textsOf(value: unknown): string[] | undefined {
  return Array.isArray(value) && value.every((each) => typeof each === 'string') ? value : undefined
}
