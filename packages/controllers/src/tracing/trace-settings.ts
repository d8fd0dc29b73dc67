/** Where traces go, by the environment variables that OpenTelemetry defines. */
import { createOtlpExporter, type SpanExporter } from './otlp-exporter.ts'
import { createTracer, type Tracer } from './tracer.ts'

export interface TracingOptions {
  environment: Readonly<Record<string, string | undefined>>
  /** Whether spans are sent to the collector's usual place on this machine where no other is named. */
  byDefault: boolean
  /** Of this program. */
  version: string
  onError(error: Error): void
}

/** Disposing sends what has been recorded. */
export interface Tracing extends AsyncDisposable {
  tracer: Tracer
}

const COLLECTOR = 'http://localhost:4318'
const SERVICE = 'agent-sandbox-controller'

/**
 * Undefined where nothing asks for traces. OTLP over HTTP as JSON is all that is spoken, whatever
 * OTEL_EXPORTER_OTLP_PROTOCOL says.
 *
 * @throws TypeError for an address that is none
 */
export function startTracing({ environment, byDefault, version, onError }: TracingOptions): Tracing | undefined {
  if (environment['OTEL_SDK_DISABLED'] === 'true' || environment['OTEL_TRACES_EXPORTER'] === 'none') return undefined
  const url = urlOf(environment, byDefault)
  if (url === undefined) return undefined
  const exporter: SpanExporter = createOtlpExporter({
    url,
    headers: {
      ...headersOf(environment['OTEL_EXPORTER_OTLP_HEADERS']),
      ...headersOf(environment['OTEL_EXPORTER_OTLP_TRACES_HEADERS']),
    },
    service: environment['OTEL_SERVICE_NAME'] || SERVICE,
    version,
    onError,
  })
  return {
    tracer: createTracer((spans) => exporter.export(spans)),
    [Symbol.asyncDispose]: () => exporter[Symbol.asyncDispose](),
  }
}

function urlOf(environment: TracingOptions['environment'], byDefault: boolean): string | undefined {
  for (const name of ['OTEL_EXPORTER_OTLP_TRACES_ENDPOINT', 'OTEL_EXPORTER_OTLP_ENDPOINT'] as const) {
    const text = environment[name]
    if (!text) continue
    const isUrl = URL.canParse(text) && /^https?:$/.test(new URL(text).protocol)
    if (!isUrl) throw new TypeError(`${name} takes an http or https address, not ${JSON.stringify(text)}`)
    return name === 'OTEL_EXPORTER_OTLP_ENDPOINT' ? below(text) : text
  }
  return byDefault ? below(COLLECTOR) : undefined
}

function below(base: string): string {
  return `${base.replace(/\/+$/, '')}/v1/traces`
}

/** `name=value,name=value`, values percent-encoded; what a value is padded with is part of it. */
function headersOf(text = ''): Record<string, string> {
  const headers: Record<string, string> = {}
  for (const pair of text.split(',')) {
    const at = pair.indexOf('=')
    const [name, value] = [pair.slice(0, Math.max(at, 0)).trim(), pair.slice(at + 1).trim()]
    if (name && value) headers[name] = decoded(value)
  }
  return headers
}

function decoded(value: string): string {
  try {
    return decodeURIComponent(value)
  } catch {
    return value
  }
}
