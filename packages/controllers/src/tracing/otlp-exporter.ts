/** Sends spans to a collector: OTLP over HTTP, as JSON. What a collector does not take in time is lost, and never waited for. */
import type { Span } from './tracer.ts'

export interface SpanExporter extends AsyncDisposable {
  export(spans: readonly Span[]): void
}

export interface ExporterOptions {
  /** Where spans are posted to. */
  url: string
  headers: Readonly<Record<string, string>>
  /** `service.name` of the resource. */
  service: string
  /** Of this program. */
  version: string
  /** A batch was lost. */
  onError(error: Error): void
}

/** Spans that wait; further ones are lost. */
const QUEUE_LIMIT = 4096
const BATCH_LIMIT = 512
/** ms that a span may wait for others. */
const DELAY = 1000
/** ms that the collector may take. */
const PATIENCE = 10_000
/** The same when this process ends. */
const LAST_PATIENCE = 2000

/** Disposing sends what waits, within two seconds. */
export function createOtlpExporter(options: ExporterOptions): SpanExporter {
  let queue: Span[] = []
  let lost = 0
  let timer: NodeJS.Timeout | undefined
  let sending: Promise<void> | undefined
  const stop = new AbortController()

  function schedule(): void {
    if (stop.signal.aborted || queue.length === 0) return
    if (queue.length >= BATCH_LIMIT) void flush(PATIENCE)
    else timer ??= setTimeout(() => void flush(PATIENCE), DELAY)
    timer?.unref()
  }

  /** One batch at a time, so that a slow collector has one connection of ours at most. */
  async function flush(patience: number): Promise<void> {
    clearTimeout(timer)
    timer = undefined
    if (sending || queue.length === 0) return sending
    const batch = queue.slice(0, BATCH_LIMIT)
    queue = queue.slice(BATCH_LIMIT)
    sending = send(batch, patience)
    await sending
    sending = undefined
    schedule()
  }

  async function send(batch: readonly Span[], patience: number): Promise<void> {
    if (lost > 0) options.onError(new Error(`${lost} spans were lost: the collector takes them too slowly`))
    lost = 0
    try {
      const answer = await fetch(options.url, {
        method: 'POST',
        headers: { ...options.headers, 'content-type': 'application/json' },
        body: JSON.stringify(requestOf(batch, options)),
        redirect: 'error',
        signal: AbortSignal.any([AbortSignal.timeout(patience), stop.signal]),
      })
      await answer.body?.cancel()
      if (!answer.ok) throw new Error(`the collector answered ${answer.status}`)
    } catch (error) {
      const { message, cause } = error as Error
      const why = cause instanceof Error ? `${message}: ${cause.message}` : message
      options.onError(new Error(`${batch.length} spans were lost: ${why}`, { cause: error }))
    }
  }

  return {
    export(spans) {
      const room = QUEUE_LIMIT - queue.length
      queue.push(...spans.slice(0, room))
      lost += Math.max(0, spans.length - room)
      schedule()
    },
    async [Symbol.asyncDispose]() {
      const deadline = setTimeout(() => stop.abort(new Error('the process ends')), LAST_PATIENCE)
      while ((sending || queue.length > 0) && !stop.signal.aborted) await (sending ?? flush(LAST_PATIENCE))
      clearTimeout(deadline)
      stop.abort(new Error('the exporter was stopped'))
      clearTimeout(timer)
    },
  }
}

/** `ExportTraceServiceRequest` in its JSON form. */
function requestOf(batch: readonly Span[], { service, version }: ExporterOptions): object {
  const resource = { attributes: attributesOf({ 'service.name': service, 'service.version': version }) }
  return {
    resourceSpans: [{ resource, scopeSpans: [{ scope: { name: 'caisson', version }, spans: batch.map(spanOf) }] }],
  }
}

const INTERNAL = 1
const ERROR = 2

function spanOf({ startedAt, endedAt, attributes, error, ...span }: Span): object {
  return {
    ...span,
    kind: INTERNAL,
    startTimeUnixNano: nanoseconds(startedAt),
    endTimeUnixNano: nanoseconds(endedAt),
    attributes: attributesOf(attributes),
    status: error === undefined ? {} : { code: ERROR, message: error.slice(0, 1024) },
  }
}

function attributesOf(values: Readonly<Record<string, string>>): object[] {
  return Object.entries(values).map(([key, stringValue]) => ({ key, value: { stringValue } }))
}

function nanoseconds(ms: number): string {
  return String(BigInt(Math.round(ms * 1000)) * 1000n)
}
