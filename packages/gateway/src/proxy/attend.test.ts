/** What becomes of a failure of our own, of whatever kind the request is and however far it has come. */
import { once } from 'node:events'
import { createServer, request } from 'node:http'
import { connect, createServer as createHttp2Server, type ServerHttp2Stream } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { createRouterMetrics } from '../metrics.ts'
import { askedByCall, askedByExchange, createAttend } from './attend.ts'
import { openExchange } from './exchange.ts'
import { createSeats } from './seats.ts'

const route = { namespace: 'default', id: 'box', uid: undefined, port: 80, timeoutMs: undefined, url: '/' }
let stack: DisposableStack
beforeEach(() => {
  stack = new DisposableStack()
})
afterEach(() => stack.dispose())

interface Attending {
  attend: ReturnType<typeof createAttend>
  errors: string[]
  /** How many requests were counted with this code. */
  counted(method: string, code: number): Promise<boolean>
}

function attending(): Attending {
  const metrics = createRouterMetrics('0.0.0')
  const errors: string[] = []
  const onError = (error: unknown, where: string): number => errors.push(`${where}: ${(error as Error).message}`)
  return {
    attend: createAttend({ metrics, takeSeat: createSeats(), onError }, () => route),
    errors,
    counted: async (method, code) =>
      (await metrics.text()).includes(
        `sandbox_router_requests_total{method="${method}",code="${code}",sandbox_namespace="default"} 1`,
      ),
  }
}

test('a failure in the middle of an answer is told, and breaks the answer off', async () => {
  const { attend, errors, counted } = attending()
  const server = createServer((request, response) => {
    void attend(askedByExchange(openExchange(request, response)), async () => {
      response.writeHead(200, { 'content-length': 100 }).write('half')
      throw new Error('a mistake')
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  stack.defer(() => server.close())
  const asked = request({ port: (server.address() as AddressInfo).port, host: '127.0.0.1' }).end()
  const [answer] = await once(asked, 'response')
  await expect(answer.resume().toArray()).rejects.toThrow('aborted')
  expect(errors).toEqual(['sandbox default/box: a mistake'])
  expect(await counted('GET', 200)).toBe(true)
})

test('a failure in the middle of a call is told, and ends the call', async () => {
  const { attend, errors, counted } = attending()
  const server = createHttp2Server()
  server.on('stream', (stream: ServerHttp2Stream, headers) => {
    void attend(askedByCall(stream, headers), async () => {
      stream.respond({ ':status': 200 })
      throw new Error('a mistake')
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  stack.defer(() => server.close())
  const session = connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
  stack.defer(() => session.destroy())
  const call = session.request({ ':method': 'POST', ':path': '/' }).resume()
  await once(call, 'close')
  expect(errors).toEqual(['sandbox default/box: a mistake'])
  expect(await counted('POST', 500)).toBe(true)
})
