import { randomBytes } from 'node:crypto'
import type { Sandbox } from '@caisson/api'
import { sandboxSnapshots } from '@caisson/client'
import { CliError } from '../cli-error.ts'
import { openSession, type Session } from '../cluster/session.ts'
import type { GlobalOptions, OutputFormat } from '../global-options.ts'
import { printList } from '../print.ts'
import { createSnapshot, getSandbox, patience, whenReady, whenTaken } from '../sandbox-progress.ts'
import { sandboxes } from '../sandboxes.ts'
import { whereFound } from '../where-found.ts'

export interface ForkOptions extends GlobalOptions {
  name: string
  count: string
  output?: OutputFormat
}

const MOST = 100
const LONGEST_PREFIX = 54

/** Makes running copies of a running Sandbox, and prints their names, one a line. */
export async function fork(options: ForkOptions): Promise<void> {
  const count = Number(options.count)
  if (!Number.isInteger(count) || count < 1 || count > MOST)
    throw new CliError('usage', `--count takes a number from 1 to ${MOST}, not ${JSON.stringify(options.count)}`)
  await using session = await openSession(options)
  await print(await whereFound(session, (here) => copiesOf(here, options.name, count)), options.output)
}

async function copiesOf(session: Session, sandbox: string, count: number): Promise<Sandbox[]> {
  const source = await getSandbox(session, sandbox)
  const prefix = sandbox.slice(0, LONGEST_PREFIX)
  const snapshot = `${prefix}-${suffix()}`
  const names = Array.from({ length: count }, () => `${prefix}-${suffix()}`)
  await createSnapshot(session, snapshot, sandbox)
  const created: string[] = []
  try {
    // Made at once: they begin the moment that the snapshot is there.
    const signal = patience()
    // Without it they would wait for ever.
    const failed = whenTaken(session, snapshot, signal).then(() => new Promise<never>(() => undefined))
    failed.catch(() => undefined)
    const ready = names.map(async (name) => {
      await createChild(session, { name, source, snapshot })
      created.push(name)
      return await Promise.race([whenReady(session, name, signal), failed])
    })
    return await Promise.all(ready)
  } catch (error) {
    await Promise.all(created.map((name) => session.client.delete(sandboxes, name, { namespace: session.namespace })))
    throw error
  } finally {
    // Its files stay as long as one of the copies does, which might have to be made again from them.
    await session.client.delete(sandboxSnapshots, snapshot, { namespace: session.namespace })
  }
}

async function createChild(
  { client, namespace }: Session,
  { name, source, snapshot }: { name: string; source: Sandbox; snapshot: string },
): Promise<void> {
  const { podTemplate, volumeClaimTemplates, service, suspension, idleSuspension, shutdownTime, shutdownPolicy } =
    source.spec
  await client.create(
    sandboxes,
    {
      metadata: { name, namespace, ...(source.metadata.labels && { labels: source.metadata.labels }) },
      spec: {
        podTemplate,
        fromSnapshot: snapshot,
        ...(volumeClaimTemplates && { volumeClaimTemplates }),
        ...(service !== undefined && { service }),
        ...(suspension && { suspension }),
        ...(idleSuspension && { idleSuspension }),
        ...(shutdownTime !== undefined && { shutdownTime }),
        ...(shutdownPolicy !== undefined && { shutdownPolicy }),
      },
    },
    { namespace },
  )
}

async function print(children: Sandbox[], output: OutputFormat | undefined): Promise<void> {
  if (!output || output === 'name') return children.forEach(({ metadata }) => console.log(metadata.name))
  const rows = children.map((object) => ({
    kind: 'sandbox',
    name: object.metadata.name ?? '',
    object,
    cells: [object.metadata.name ?? ''],
    wide: [object.status?.podIPs?.[0] ?? ''],
  }))
  await printList(rows, { always: ['NAME'], wide: ['IP'] }, output)
}

function suffix(): string {
  return randomBytes(4).toString('hex')
}
