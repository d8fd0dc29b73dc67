import { type ContainerSpec } from '../runtime.ts'
import { RuntimeError } from '../runtime-error.ts'

export interface ConcealPathsOptions {
  spec: ContainerSpec
  /** Of the container. */
  directory: string
  stateDirectory: string
}

/**
 * An OCI runtime's complaint without the paths of this machine: it goes to whoever asked for the container. The root file
 * system's paths become the container's own, a volume is named by where it is mounted.
 */
export function concealPaths(error: unknown, { spec, directory, stateDirectory }: ConcealPathsOptions): unknown {
  if (!(error instanceof RuntimeError)) return error
  const sources = spec.mounts.flatMap(({ source, destination }): [string, string][] =>
    source === undefined ? [] : [[source, `volume at ${destination}`]],
  )
  let { message } = error
  // The longest first: one may be a part of another.
  for (const [path, name] of sources.sort(([a], [b]) => b.length - a.length)) message = replacePath(message, path, name)
  message = message.replaceAll(`${directory}/rootfs`, '').replaceAll(directory, '').replaceAll(stateDirectory, '')
  return message === error.message ? error : new RuntimeError(error.code, message, { cause: error })
}

/** Only as a whole: a volume of the machine's `/tmp` is not named in every path below it. */
function replacePath(message: string, path: string, name: string): string {
  const escaped = path.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&')
  return message.replaceAll(new RegExp(`(?<![\\w./-])${escaped}(?![\\w./-])`, 'g'), name)
}
