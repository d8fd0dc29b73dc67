import { expect, test } from 'vitest'
import { readTraceContext } from './trace-context.ts'

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736'
const SPAN = '00f067aa0ba902b7'
const carrier = (traceparent: unknown, tracestate?: unknown): string => JSON.stringify({ traceparent, tracestate })

test.each<[annotation: string, traceState?: string]>([
  [carrier(`00-${TRACE}-${SPAN}-01`)],
  [carrier(`00-${TRACE}-${SPAN}-03`)],
  [carrier(`01-${TRACE}-${SPAN}-01-more`)],
  [carrier(`00-${TRACE}-${SPAN}-01`, 'vendor=1'), 'vendor=1'],
  [carrier(`00-${TRACE}-${SPAN}-01`, 'x'.repeat(513))],
  [carrier(`00-${TRACE}-${SPAN}-01`, 7)],
])('%s', (annotation, traceState) => {
  expect(readTraceContext(annotation)).toEqual({ traceId: TRACE, spanId: SPAN, ...(traceState && { traceState }) })
})

test.each([
  [undefined],
  [''],
  ['null'],
  ['[]'],
  ['{'],
  [carrier(undefined)],
  [carrier(1)],
  [carrier(`00-${TRACE}-${SPAN}-00`)],
  [carrier(`ff-${TRACE}-${SPAN}-01`)],
  [carrier(`00-${'0'.repeat(32)}-${SPAN}-01`)],
  [carrier(`00-${TRACE}-${'0'.repeat(16)}-01`)],
  [carrier(`00-${TRACE.toUpperCase()}-${SPAN}-01`)],
  [carrier(`00-${TRACE}-${SPAN}-01x`)],
  [carrier(`00-${TRACE}-${SPAN}-01`, 'x'.repeat(5000))],
])('%s is in no trace', (annotation) => {
  expect(readTraceContext(annotation)).toBeUndefined()
})
