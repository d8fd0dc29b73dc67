import { openSession } from '../cluster/session.ts'
import type { GlobalOptions, OutputFormat } from '../global-options.ts'
import { newName } from '../new-name.ts'
import { age, printList, printObject } from '../print.ts'
import { runningPodOf } from '../sandbox-pod.ts'
import { createSnapshot, patience, whenTaken } from '../sandbox-progress.ts'
import { sayWaiting } from '../say-waiting.ts'
import { whereFound } from '../where-found.ts'

export interface SnapshotOptions extends GlobalOptions {
  sandbox: string
  name?: string
  output?: OutputFormat
}

/** Keeps a running Sandbox in a snapshot; the Sandbox goes on. Prints the snapshot's name. */
export async function snapshot(options: SnapshotOptions): Promise<void> {
  await using session = await openSession(options)
  const name = newName(options.name, options.sandbox)
  const taken = await whereFound(session, async (here) => {
    await runningPodOf(here, options.sandbox)
    using _ = sayWaiting(`snapshot ${name}`)
    await createSnapshot(here, { name, sandboxName: options.sandbox })
    return await whenTaken(here, name, patience())
  })
  if (!options.output) return console.log(name)
  if (options.output === 'json' || options.output === 'yaml') return printObject(taken, options.output)
  const { sizeBytes = 0, nodeName = '', image = '' } = taken.status ?? {}
  const row = {
    kind: 'sandboxsnapshot',
    name,
    object: taken,
    cells: [name, options.sandbox, String(sizeBytes), age(taken.metadata.creationTimestamp, Date.now())],
    wide: [nodeName, image],
  }
  await printList([row], { always: ['NAME', 'SANDBOX', 'BYTES', 'AGE'], wide: ['NODE', 'IMAGE'] }, options.output)
}
