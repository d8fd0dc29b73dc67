/** A client that lists: the newest state or an old one, whole or in pages, with a while between them. */
import { setTimeout } from 'node:timers/promises'
import type { Random } from '../differential/script.ts'
import { type Connection, createConnection } from './connection.ts'
import type { Listing, Page, Selection } from './history.ts'
import { KINDS, type Kind, queryOf, seenOf, type WireObject } from './kinds.ts'
import { noteRevision, type Recorder } from './recorder.ts'
import { COLOURS, NAMESPACES, SIDES } from './writer.ts'

export const EVERYTHING: Selection = { namespace: undefined, name: undefined, side: undefined, colour: undefined }

export interface ClientOptions {
  recorder: Recorder
  client: string
  random: Random
}

export async function runLister({ recorder, client, random }: ClientOptions): Promise<void> {
  using connection = createConnection(recorder.endpoint)
  while (!recorder.stopped.aborted) {
    await recorder.serving()
    if (recorder.stopped.aborted) return
    const kind = random.pick(KINDS)
    const { newest } = recorder
    const exact = random.chance(0.25) ? Math.max(1, newest - random.integer(300)) : undefined
    const asked: Listing['asked'] = {
      exact,
      atLeast: exact === undefined && random.chance(0.3) ? random.pick([0, newest]) : undefined,
      limit: random.chance(0.6) ? 1 + random.integer(8) : 0,
    }
    const pauseMs = random.chance(0.3) ? random.integer(300) : 0
    await listInPages(connection, { recorder, client, kind, selection: chooseSelection(kind, random), asked, pauseMs })
  }
}

export function chooseSelection({ fieldSelector }: Kind, random: Random): Selection {
  const operator = random.pick(['in', 'in', 'notin', 'exists', 'absent'] as const)
  const values = operator === 'in' || operator === 'notin' ? [random.pick(SIDES.slice(0, 2))] : []
  return {
    namespace: random.chance(0.5) ? random.pick(NAMESPACES) : undefined,
    name: undefined,
    side: random.chance(0.4) ? { operator, values } : undefined,
    colour:
      fieldSelector && random.chance(0.4) ? { equal: random.chance(0.6), value: random.pick(COLOURS) } : undefined,
  }
}

export interface ListInPagesOptions {
  recorder: Recorder
  client: string
  kind: Kind
  selection: Selection
  asked: Listing['asked']
  /** Between pages. */
  pauseMs: number
  /** With what the answer to an expired token gave. */
  goesOn?: { token: string; after: string } | undefined
}

/** Lists, and writes down how that went. */
export async function listInPages(connection: Connection, options: ListInPagesOptions): Promise<Listing> {
  const { recorder, client, kind, selection, asked, pauseMs } = options
  const began = recorder.now()
  const pages: Page[] = []
  let outcome: Listing['outcome'] | undefined
  let token = options.goesOn?.token ?? ''
  let next: ListInPagesOptions['goesOn']
  while (!outcome) {
    const pageBegan = recorder.now()
    try {
      const query = {
        ...queryOf(selection),
        ...(asked.limit > 0 && { limit: String(asked.limit) }),
        ...position(asked, token),
      }
      const { status, body } = await connection.send('GET', kind.path(selection.namespace), { query })
      if (status === 200) {
        const { metadata, items } = body as {
          metadata: { resourceVersion: string; continue?: string }
          items: WireObject[]
        }
        token = metadata.continue ?? ''
        const revision = Number(metadata.resourceVersion)
        noteRevision(recorder, revision)
        const objects = items.map((item) => seenOf(kind.resource, item))
        pages.push({ began: pageBegan, ended: recorder.now(), revision, objects, more: token !== '' })
        if (token === '') outcome = 'complete'
        else if (pauseMs > 0) await setTimeout(pauseMs)
      } else if (status === 410) {
        outcome = 'expired'
        const after = pages.at(-1)?.objects.at(-1)?.key
        // With selectors, what was looked at last is not what was shown last.
        if (after && !selection.side && !selection.colour) next = { token: body.metadata.continue as string, after }
      } else {
        outcome = 'unknown'
        // A revision that was told before cannot be one that has not happened.
        const fell = (body as { message?: string }).message?.includes('Too large resource version')
        if (status < 429 || fell) recorder.unexpected(`list of ${kind.resource}: ${status} ${JSON.stringify(body)}`)
      }
    } catch {
      outcome = 'unknown'
    }
  }
  const after = options.goesOn?.after
  const listing = {
    client,
    resource: kind.resource,
    selection,
    asked,
    after,
    began,
    ended: recorder.now(),
    pages,
    outcome,
  }
  recorder.listings.push(listing)
  if (!next) return listing
  return listInPages(connection, {
    ...options,
    asked: { exact: undefined, atLeast: undefined, limit: asked.limit },
    goesOn: next,
  })
}

function position({ exact, atLeast }: Listing['asked'], token: string): Record<string, string> {
  if (token !== '') return { continue: token }
  if (exact !== undefined) return { resourceVersion: String(exact), resourceVersionMatch: 'Exact' }
  if (atLeast !== undefined) return { resourceVersion: String(atLeast), resourceVersionMatch: 'NotOlderThan' }
  return {}
}
