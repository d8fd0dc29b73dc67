import * as apiserver from '@caisson/apiserver'
import { expect, test } from 'vitest'
import { isReady, useClaims } from '../testing/claim-fixture.ts'
import { startCollector } from '../testing/otlp-collector.ts'
import { runControllers, startTestNode } from '../testing/test-cluster.ts'
import { createOtlpExporter } from './otlp-exporter.ts'
import { startTracing } from './trace-settings.ts'
import type { Span } from './tracer.ts'

const t = useClaims(apiserver)
const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736'
const PARENT = '00f067aa0ba902b7'

test('what is done for a claim joins the trace that its annotation names; of others nothing is said', async () => {
  await using collector = await startCollector()
  await using _node = await startTestNode(t.client, t.namespace)
  await t.createTemplate()
  await t.createPool(2)
  await t.filledPool(2)
  await t.running[Symbol.asyncDispose]()
  const errors: Error[] = []
  const tracing = startTracing({
    environment: {
      OTEL_EXPORTER_OTLP_ENDPOINT: `${collector.url}/`,
      OTEL_EXPORTER_OTLP_HEADERS: 'authorization=Basic%20eDp5eg==',
    },
    byDefault: false,
    version: '1.2.3',
    onError: (error) => errors.push(error),
  })
  {
    await using traced = await runControllers(t.cluster, t.namespace, { ...(tracing && { tracer: tracing.tracer }) })
    const context = JSON.stringify({ traceparent: `00-${TRACE}-${PARENT}-01`, tracestate: 'vendor=1' })
    await t.createClaim('other')
    await t.createClaim('mine', {}, { annotations: { 'opentelemetry.io/trace-context': context } })
    await Promise.all(['other', 'mine'].map((name) => t.untilClaim(name, isReady)))
    await traced.controllers.idle()
  }
  await tracing?.[Symbol.asyncDispose]()
  expect(errors).toEqual([])
  const [first] = collector.sent
  expect({ path: first?.path, type: first?.headers['content-type'], who: first?.headers.authorization }).toEqual({
    path: '/v1/traces',
    type: 'application/json',
    who: 'Basic eDp5eg==',
  })
  expect(first?.body.resourceSpans[0]?.resource).toEqual({
    attributes: [
      { key: 'service.name', value: { stringValue: 'agent-sandbox-controller' } },
      { key: 'service.version', value: { stringValue: '1.2.3' } },
    ],
  })
  const spans = collector.spans()
  for (const span of spans) {
    expect(span).toMatchObject({ traceId: TRACE, traceState: 'vendor=1', kind: 1, status: {} })
    expect(BigInt(span.endTimeUnixNano)).toBeGreaterThanOrEqual(BigInt(span.startTimeUnixNano))
  }
  const claims = spans.filter(({ name }) => name === 'ReconcileSandboxClaim')
  expect(claims.map(({ parentSpanId, attributes }) => [parentSpanId, attributes[1]?.value.stringValue])).toEqual([
    [PARENT, 'mine'],
  ])
  const below = spans.filter(({ parentSpanId }) => parentSpanId === claims[0]?.spanId)
  expect(below.map(({ name }) => name)).toEqual(['patch SandboxClaim', 'patch Sandbox', 'patch SandboxClaim status'])
  // The Sandbox carries the context on.
  const sandbox = spans.find(({ name }) => name === 'ReconcileSandbox')
  expect(sandbox?.parentSpanId).toBe(PARENT)
  expect(new Set(spans.map(({ spanId }) => spanId)).size).toBe(spans.length)
})

const span: Span = {
  traceId: TRACE,
  spanId: PARENT,
  parentSpanId: PARENT,
  name: 'x',
  startedAt: 1,
  endedAt: 2,
  attributes: {},
}
const options = { headers: {}, service: 's', version: 'v' }

test('what a collector does not take is lost and said, never kept', async () => {
  await using refusing = await startCollector(503)
  const errors: string[] = []
  const onError = ({ message }: Error): void => void errors.push(message)
  await using exporter = createOtlpExporter({ ...options, url: refusing.url, onError })
  exporter.export(Array.from({ length: 5000 }, () => span))
  await exporter[Symbol.asyncDispose]()
  expect(errors.filter((error) => error !== '512 spans were lost: the collector answered 503')).toEqual([
    '904 spans were lost: the collector takes them too slowly',
  ])
  expect(refusing.spans()).toHaveLength(4096)
})

test('one that is not there holds nobody up', async () => {
  const gone = await startCollector()
  await gone[Symbol.asyncDispose]()
  const errors: string[] = []
  const exporter = createOtlpExporter({ ...options, url: gone.url, onError: ({ message }) => errors.push(message) })
  exporter.export([span])
  await exporter[Symbol.asyncDispose]()
  expect(errors).toEqual([expect.stringMatching(/^1 spans were lost: fetch failed: .*ECONNREFUSED/)])
})

test.each<[Record<string, string>, byDefault: boolean, on: boolean]>([
  [{}, false, false],
  [{}, true, true],
  [{ OTEL_SDK_DISABLED: 'true' }, true, false],
  [{ OTEL_TRACES_EXPORTER: 'none' }, true, false],
  [{ OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'http://127.0.0.1:1/x' }, false, true],
])('%j, by default %s: %s', async (environment, byDefault, on) => {
  await using tracing = startTracing({ environment, byDefault, version: 'v', onError: () => undefined })
  expect(tracing !== undefined).toBe(on)
})

test('an address that is none is an error', () => {
  const environment = { OTEL_EXPORTER_OTLP_ENDPOINT: 'collector:4317' }
  expect(() => startTracing({ environment, byDefault: false, version: 'v', onError: () => undefined })).toThrow(
    'OTEL_EXPORTER_OTLP_ENDPOINT takes an http or https address, not "collector:4317"',
  )
})
