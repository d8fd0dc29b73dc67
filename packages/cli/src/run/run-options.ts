import type { GlobalOptions } from '../global-options.ts'

/** The command and the options of `caisson run`. */
export interface RunCommandOptions extends GlobalOptions {
  command: string[]
  detach?: boolean
  name?: string
  rm?: boolean
  keep?: boolean
  interactive?: boolean
  tty?: boolean
  image: string
  pull: 'missing' | 'always' | 'never'
  runtimeClass?: string
  env: string[]
  volume: string[]
  /** What it reaches, and who reaches it. */
  network: 'none' | 'isolated' | 'open'
  publish: string[]
  workdir?: string
  user?: string
  cpu?: string
  memory: string
  storage: string
  timeout?: string
  idleTimeout?: string
  snapshot?: string
  pool?: string
  /** Names of the options that were given, as they are written. */
  given?: readonly string[]
}
