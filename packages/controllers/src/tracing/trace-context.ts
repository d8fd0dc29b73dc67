/** The trace that an object belongs to, as agent-sandbox's clients write it into an annotation: a JSON carrier of W3C's headers. */

/** Where a span has its place: in a trace, below another span. */
export interface TraceContext {
  /** 32 hexadecimal digits. */
  traceId: string
  /** 16 hexadecimal digits. */
  spanId: string
  traceState?: string
}

/** Of the annotation, and of `tracestate` in it, in characters. Tenants write them. */
const LONGEST_CARRIER = 4096
const LONGEST_STATE = 512
/** Version, trace, span, flags. Later versions may say more behind these. */
const TRACE_PARENT = /^(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(?:-|$)/
const SAMPLED = 1

/** Undefined where there is none, it says nothing that can be read, or its trace is not recorded. */
export function readTraceContext(annotation: string | undefined): TraceContext | undefined {
  if (annotation === undefined || annotation.length > LONGEST_CARRIER) return undefined
  const { traceparent, tracestate } = carrierOf(annotation)
  if (typeof traceparent !== 'string') return undefined
  const [, traceId = '', spanId = '', flags = ''] = TRACE_PARENT.exec(traceparent) ?? []
  if (!traceId || !(Number.parseInt(flags, 16) & SAMPLED)) return undefined
  const isState = typeof tracestate === 'string' && tracestate.length > 0 && tracestate.length <= LONGEST_STATE
  return { traceId, spanId, ...(isState && { traceState: tracestate }) }
}

function carrierOf(text: string): { traceparent?: unknown; tracestate?: unknown } {
  try {
    const carrier: unknown = JSON.parse(text)
    return typeof carrier === 'object' && carrier !== null ? carrier : {}
  } catch {
    return {}
  }
}
