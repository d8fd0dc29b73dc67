import { randomBytes } from 'node:crypto'
import type { PodTemplate, Sandbox } from '@caisson/api'
import { sandboxSnapshots } from '@caisson/client'
import { type Attendance, attend } from '../attendance.ts'
import { CliError } from '../cli-error.ts'
import { openSession, type Session } from '../cluster/session.ts'
import type { GlobalOptions, OutputFormat } from '../global-options.ts'
import { outputTaken } from '../output.ts'
import { printList } from '../print.ts'
import { type StopSignal, stopSignal } from '../run/stop-signal.ts'
import { runningPodOf } from '../sandbox-pod.ts'
import { createSnapshot, getSandbox, patience, whenReady, whenTaken } from '../sandbox-progress.ts'
import { sandboxes } from '../sandboxes.ts'
import { sayWaiting } from '../say-waiting.ts'
import { templateOfCopy } from '../template-of-copy.ts'
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
  const stop = stopSignal(undefined)
  await using session = await openSession(options)
  // Whatever ends this process before it has said their names, its copies end too.
  await using attendance = session.embedded ? await attend(session.embedded) : undefined
  try {
    const { name } = options
    const announce = async (children: Sandbox[]): Promise<void> => {
      await print(children, options.output)
      await outputTaken()
    }
    await whereFound(session, (here) => makeCopies(here, { name, count, stop, attendance, announce }))
    attendance?.keep()
  } catch (error) {
    if (!stop.signal.aborted) throw error
    process.exitCode = stop.exitCode()
  }
}

interface Copying {
  name: string
  count: number
  stop: StopSignal
  attendance: Attendance | undefined
  /** Says their names, which nobody knows otherwise. */
  announce(children: Sandbox[]): Promise<void>
}

/** Leaves the copies, or nothing where that fails, is interrupted or cannot be announced. */
async function makeCopies(session: Session, { name, count, stop, attendance, announce }: Copying): Promise<void> {
  const { client, namespace } = session
  const [source] = await stop.race(Promise.all([getSandbox(session, name), runningPodOf(session, name)]))
  const prefix = name.slice(0, LONGEST_PREFIX)
  const snapshot = `${prefix}-${suffix()}`
  const names = Array.from({ length: count }, () => `${prefix}-${suffix()}`)
  const annotations = attendance?.annotations
  const signal = AbortSignal.any([stop.signal, patience()])
  const creations: Promise<void>[] = []
  using waiting = sayWaiting(count === 1 ? `a copy of ${name}` : `${count} copies of ${name}`)
  try {
    await createSnapshot(session, { name: snapshot, sandboxName: name, ...(annotations && { annotations }) })
    // Without it they would wait for ever.
    const failed = whenTaken(session, snapshot, signal).then(() => new Promise<never>(() => undefined))
    failed.catch(() => undefined)
    // Made at once: they begin the moment that the snapshot is there.
    const podTemplate = templateOfCopy(source.spec.podTemplate, name)
    const made = { source, podTemplate, snapshot, annotations }
    for (const child of names) creations.push(createChild(session, { ...made, name: child }))
    const ready = names.map(async (child, index) => {
      await creations[index]
      return await Promise.race([whenReady(session, child, signal), failed])
    })
    const children = await stop.race(Promise.all(ready))
    // Its files stay as long as one of the copies does, which might have to be made again from them.
    await client.delete(sandboxSnapshots, snapshot, { namespace })
    waiting[Symbol.dispose]()
    await announce(children)
  } catch (error) {
    // Also those that are being made while another one fails.
    await Promise.allSettled(creations)
    await Promise.allSettled([
      ...names.map((child) => client.delete(sandboxes, child, { namespace })),
      client.delete(sandboxSnapshots, snapshot, { namespace }),
    ])
    throw error
  }
}

interface Child {
  name: string
  source: Sandbox
  podTemplate: PodTemplate
  snapshot: string
  annotations: Record<string, string> | undefined
}

async function createChild(
  { client, namespace }: Session,
  { name, source, podTemplate, snapshot, annotations }: Child,
): Promise<void> {
  const { volumeClaimTemplates, service, suspension, idleSuspension, shutdownTime, shutdownPolicy } = source.spec
  await client.create(
    sandboxes,
    {
      metadata: {
        name,
        namespace,
        ...(source.metadata.labels && { labels: source.metadata.labels }),
        ...(annotations && { annotations }),
      },
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
