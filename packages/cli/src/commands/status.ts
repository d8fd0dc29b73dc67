import { stringify } from 'yaml'
import { readDaemonRecord } from '../cluster/daemon-record.ts'
import { dataDirectory } from '../cluster/data-directory.ts'
import type { GlobalOptions, OutputFormat } from '../global-options.ts'

export interface StatusOptions extends GlobalOptions {
  output?: OutputFormat
}

/** Exit code 0 where the cluster runs, 1 where it does not. */
export function status(options: StatusOptions): void {
  const directory = dataDirectory(options.dataDir)
  const record = readDaemonRecord(directory)
  process.exitCode = record ? 0 : 1
  const about = record
    ? { running: true, pid: record.pid, server: record.server, version: record.version, dataDirectory: directory.root }
    : { running: false, dataDirectory: directory.root }
  if (options.output === 'json') console.log(JSON.stringify(about))
  else if (options.output === 'yaml') process.stdout.write(stringify(about))
  else if (!record) console.log(`not running (${directory.root}): start it with 'caisson up --detach'`)
  else if (options.output === 'name') console.log(record.server)
  else
    console.log(
      `running: ${record.server}, process ${record.pid}, version ${record.version}, data in ${directory.root}`,
    )
}
