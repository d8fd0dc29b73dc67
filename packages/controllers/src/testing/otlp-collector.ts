/** A collector of traces on loopback, which keeps what it is sent. */
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { json } from 'node:stream/consumers'

export interface SentSpan {
  traceId: string
  spanId: string
  parentSpanId: string
  traceState?: string
  name: string
  kind: number
  startTimeUnixNano: string
  endTimeUnixNano: string
  attributes: { key: string; value: { stringValue: string } }[]
  status: object
}

interface Sent {
  path: string | undefined
  headers: IncomingHttpHeaders
  body: { resourceSpans: { resource: object; scopeSpans: { scope: object; spans: SentSpan[] }[] }[] }
}

export interface Collector extends AsyncDisposable {
  url: string
  sent: Sent[]
  spans(): SentSpan[]
}

/** @param answer the status with which it takes what it is sent */
export async function startCollector(answer = 200): Promise<Collector> {
  const sent: Sent[] = []
  const server = createServer((request, response) => void take(request, response))
  async function take(request: IncomingMessage, response: ServerResponse): Promise<void> {
    sent.push({ path: request.url, headers: request.headers, body: (await json(request)) as Sent['body'] })
    response.writeHead(answer, { 'content-type': 'application/json' }).end('{}')
  }
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    sent,
    spans: () => sent.flatMap(({ body }) => body.resourceSpans[0]?.scopeSpans[0]?.spans ?? []),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
