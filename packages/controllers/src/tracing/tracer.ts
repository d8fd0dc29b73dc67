/** Spans of what controllers do for objects that belong to a trace: a pass that wrote something, and each of its writes. */
import { randomBytes } from 'node:crypto'
import { ANNOTATIONS } from '@caisson/api'
import type { AnyObject } from '@caisson/client'
import { readTraceContext } from './trace-context.ts'

export interface Span {
  traceId: string
  spanId: string
  parentSpanId: string
  traceState?: string
  name: string
  /** ms since the epoch, as finely as the clock has it. */
  startedAt: number
  endedAt: number
  attributes: Readonly<Record<string, string>>
  /** What went wrong; undefined where nothing did. */
  error?: string
}

export interface Tracer {
  /** Undefined for an object that belongs to no trace. */
  pass(controller: string, object: AnyObject): PassTrace | undefined
}

export interface PassTrace {
  /** Call what is returned when the write is done. */
  write(name: string, id: string): (error?: string) => void
  /** The pass is over. One without a write and without an error is not recorded. */
  end(error?: string): void
}

/** Names of agent-sandbox's where it has them. */
const SPAN_NAMES: Readonly<Record<string, string>> = {
  sandbox: 'ReconcileSandbox',
  claim: 'ReconcileSandboxClaim',
  template: 'ReconcileSandboxTemplate',
  pool: 'ReconcileSandboxWarmPool',
  snapshot: 'ReconcileSandboxSnapshot',
}

/** @param record is given the spans of a pass when it ends */
export function createTracer(record: (spans: readonly Span[]) => void): Tracer {
  return {
    pass(controller, object) {
      const context = readTraceContext(object.metadata.annotations?.[ANNOTATIONS.traceContext])
      if (!context) return undefined
      const { spanId: parentSpanId, ...trace } = context
      const spanId = newSpanId()
      const startedAt = clock()
      const writes: Span[] = []
      return {
        write(name, id) {
          const span = { ...trace, spanId: newSpanId(), parentSpanId: spanId, name, startedAt: clock() }
          return (error) => {
            const attributes = { 'caisson.write': id }
            writes.push({ ...span, endedAt: clock(), attributes, ...(error !== undefined && { error }) })
          }
        },
        end(error) {
          if (writes.length === 0 && error === undefined) return
          const { namespace = '', name = '', uid = '' } = object.metadata
          const span: Span = {
            ...trace,
            spanId,
            parentSpanId,
            name: SPAN_NAMES[controller] ?? controller,
            startedAt,
            endedAt: clock(),
            attributes: { 'k8s.namespace.name': namespace, 'k8s.object.name': name, 'k8s.object.uid': uid },
            ...(error !== undefined && { error }),
          }
          record([span, ...writes])
        },
      }
    },
  }
}

function newSpanId(): string {
  return randomBytes(8).toString('hex')
}

function clock(): number {
  return performance.timeOrigin + performance.now()
}
