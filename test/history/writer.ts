/** A client that writes and reads single objects, one request after the other. */
import type { Random } from '../differential/script.ts'
import { type Answer, type Connection, createConnection } from './connection.ts'
import { type Content, describeContent, type Outcome, type Request } from './history.ts'
import { KINDS, type Kind, seenOf, type WireObject } from './kinds.ts'
import { noteRevision, type Recorder } from './recorder.ts'

export const NAMESPACES = ['a', 'b'] as const
export const SIDES = ['left', 'right', ''] as const
export const COLOURS = ['red', 'green', 'blue'] as const
const NAMES = ['one', 'two', 'three', 'four', 'five', 'six'] as const

export interface WriterOptions {
  recorder: Recorder
  client: string
  random: Random
  /** How much is written at most beside the content, characters. */
  padding(): number
}

export async function runWriter({ recorder, client, random, padding }: WriterOptions): Promise<void> {
  using connection = createConnection(recorder.endpoint)
  for (let count = 0; !recorder.stopped.aborted; count++) {
    await recorder.serving()
    if (recorder.stopped.aborted) return
    const kind = random.pick(KINDS)
    const namespace = random.pick(NAMESPACES)
    const name = random.pick(NAMES)
    const key = `${kind.resource}/${namespace}/${name}`
    const request = chooseRequest({
      key,
      kind,
      random,
      value: `${client}-${count}`,
      known: recorder.known.get(key) ?? 0,
    })
    const began = recorder.now()
    const filler = 'x'.repeat(random.integer(padding() + 1))
    const outcome = await perform(connection, { kind, namespace, name, request, filler, random, recorder })
    const operation = { client, began, ended: outcome.kind === 'unknown' ? Infinity : recorder.now(), request, outcome }
    if (outcome.kind === 'seen') {
      recorder.known.set(key, outcome.object.revision)
      noteRevision(recorder, outcome.object.revision)
    } else if (outcome.kind === 'deleted' || (outcome.kind === 'refused' && outcome.reason === 'NotFound'))
      recorder.known.set(key, 0)
    recorder.operations.push(operation)
    for (const listener of recorder.onOutcome) listener(operation)
  }
}

function chooseRequest(options: { key: string; kind: Kind; random: Random; value: string; known: number }): Request {
  const { key, kind, random, value, known } = options
  const content: Content = { value, side: random.pick(SIDES), colour: random.pick(COLOURS) }
  if (random.chance(0.2)) return { verb: 'get', key }
  // Mostly what can succeed: a history of refusals shows little.
  if (known === 0 ? random.chance(0.8) : random.chance(0.1)) return { verb: 'create', key, content }
  const revision = random.chance(0.4) && known > 0 ? known : undefined
  if (random.chance(0.2)) return { verb: 'delete', key, revision }
  if (random.chance(0.5)) {
    const { side, colour } = content
    const changed = { value, ...(random.chance(0.5) && { side }), ...(random.chance(0.5) && { colour }) }
    return { verb: 'patch', key, content: changed, revision }
  }
  const condition = kind.conditionalOnly ? known || undefined : revision
  return kind.conditionalOnly && condition === undefined
    ? { verb: 'get', key }
    : { verb: 'update', key, content, revision: condition }
}

interface Performance {
  kind: Kind
  namespace: string
  name: string
  request: Request
  filler: string
  random: Random
  recorder: Recorder
}

async function perform(connection: Connection, options: Performance): Promise<Outcome> {
  const { request, kind, recorder } = options
  try {
    const answer = await connection.send(...wireOf(options))
    const outcome = outcomeOf(answer, request, kind)
    if (outcome) return outcome
    const what = 'content' in request ? ` (${describeContent(request.content)})` : ''
    recorder.unexpected(`${request.verb} ${request.key}${what}: ${answer.status} ${JSON.stringify(answer.body)}`)
    return { kind: 'unknown', reason: String(answer.status) }
  } catch (error) {
    return { kind: 'unknown', reason: (error as Error).message }
  }
}

/** The request as it is sent. */
function wireOf({ kind, namespace, name, request, filler, random }: Performance): Parameters<Connection['send']> {
  const collection = kind.path(namespace)
  const path = `${collection}/${name}`
  const condition = 'revision' in request && request.revision !== undefined ? String(request.revision) : undefined
  if (request.verb === 'get') return ['GET', path, random.chance(0.3) ? { query: { resourceVersion: '0' } } : {}]
  if (request.verb === 'create') return ['POST', collection, { body: kind.body(name, request.content, filler) }]
  if (request.verb === 'delete')
    return ['DELETE', path, condition ? { body: { preconditions: { resourceVersion: condition } } } : {}]
  const isPatch = request.verb === 'patch'
  const { metadata, ...rest } = isPatch ? kind.patch(request.content, filler) : kind.body(name, request.content, filler)
  const body = { ...rest, metadata: { ...(metadata as object), ...(condition && { resourceVersion: condition }) } }
  return isPatch ? ['PATCH', path, { body, contentType: 'application/merge-patch+json' }] : ['PUT', path, { body }]
}

function outcomeOf({ status, body }: Answer, request: Request, { resource }: Kind): Outcome | undefined {
  if (status === 200 || status === 201) {
    if (request.verb !== 'delete') return { kind: 'seen', object: seenOf(resource, body as WireObject) }
    return { kind: 'deleted', uid: (body as { details: { uid: string } }).details.uid }
  }
  const { reason, message } = body as { reason: string; message: string }
  if (
    (status === 404 || status === 409) &&
    (reason === 'NotFound' || reason === 'AlreadyExists' || reason === 'Conflict')
  )
    return { kind: 'refused', reason }
  if (status === 429) return { kind: 'nothing', reason: message }
  if (status === 500 && message.includes('nothing was written')) return { kind: 'nothing', reason: message }
  if (status >= 500) return { kind: 'unknown', reason: message }
  return undefined
}
