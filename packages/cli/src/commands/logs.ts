import { CliError } from '../cli-error.ts'
import { openSession } from '../cluster/session.ts'
import { copyLog } from '../copy-log.ts'
import type { GlobalOptions } from '../global-options.ts'
import { podOf } from '../sandbox-pod.ts'
import { whereFound } from '../where-found.ts'

export interface LogsOptions extends GlobalOptions {
  name: string
  follow?: boolean
  tail?: string
  timestamps?: boolean
  container?: string
}

export async function logs(options: LogsOptions): Promise<void> {
  const tailLines = options.tail === undefined ? undefined : Number(options.tail)
  if (tailLines !== undefined && !(Number.isInteger(tailLines) && tailLines >= 0)) {
    throw new CliError('usage', `--tail takes a number of lines, not ${JSON.stringify(options.tail)}`)
  }
  await using session = await openSession(options)
  const { metadata } = await whereFound(session, (here) => podOf(here, options.name, options.container))
  const stream = session.client.logs(metadata.name ?? '', {
    namespace: metadata.namespace ?? '',
    follow: options.follow ?? false,
    timestamps: options.timestamps ?? false,
    ...(tailLines !== undefined && { tailLines }),
    ...(options.container !== undefined && { container: options.container }),
  })
  await copyLog(stream, process.stdout)
}
