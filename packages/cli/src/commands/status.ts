import { existsSync, readlinkSync } from 'node:fs'
import { stringify } from 'yaml'
import { type DaemonRecord, readDaemonRecord } from '../cluster/daemon-record.ts'
import { type DataDirectory, dataDirectory } from '../cluster/data-directory.ts'
import type { GlobalOptions, OutputFormat } from '../global-options.ts'

export interface StatusOptions extends GlobalOptions {
  output?: OutputFormat
}

/** Exit code 0 where the cluster runs, 1 where it does not. */
export function status(options: StatusOptions): void {
  const directory = dataDirectory(options.dataDir)
  const record = readDaemonRecord(directory)
  process.exitCode = record ? 0 : 1
  const log = record ? logOf(record, directory) : existsSync(directory.log) ? directory.log : undefined
  const about = {
    ...(record
      ? { running: true, pid: record.pid, server: record.server, version: record.version }
      : { running: false }),
    dataDirectory: directory.root,
    ...(log !== undefined && { log }),
  }
  if (options.output === 'json') console.log(JSON.stringify(about))
  else if (options.output === 'yaml') process.stdout.write(stringify(about))
  else if (!record) console.log(`not running (${directory.root}): start it with 'caisson up --detach'`)
  else if (options.output === 'name') console.log(record.server)
  else
    console.log(
      `running: ${record.server}, process ${record.pid}, version ${record.version}, data in ${directory.root}, log in ${log ?? 'its standard error'}`,
    )
}

/** Where it says what has failed: the directory's log, or where it was told to by who runs it in the foreground. */
function logOf({ pid }: DaemonRecord, { log }: DataDirectory): string | undefined {
  let target: string
  try {
    target = readlinkSync(`/proc/${pid}/fd/2`)
  } catch {
    return log
  }
  return target.startsWith('/') ? target : undefined
}
