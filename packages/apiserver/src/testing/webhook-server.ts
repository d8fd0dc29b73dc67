/** A webhook on loopback, over real TLS, for tests. */

import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ensureCertificates } from '../authn/certificates.ts'

// oxlint-disable-next-line no-explicit-any -- reviews of every shape are looked at
export type Review = any

/** Answers every request in another protocol, which nobody has asked for. */
export const SWITCHING_PATH = '/switching'
export const SWITCHING = 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: other\r\n\r\n'

export interface WebhookServer extends AsyncDisposable {
  url: string
  port: number
  /** For `clientConfig`: PEM in base64. */
  caBundle: string
  /** The requests of all reviews so far. */
  seen: Review[]
}

/**
 * @param answer by the path of the webhook: the response without its uid, or a whole body where it is a string; never
 *   answers where it is undefined
 */
export async function startWebhookServer(
  answer: (path: string, request: Review) => object | string | undefined | Promise<object | string | undefined>,
): Promise<WebhookServer> {
  const directory = mkdtempSync(join(tmpdir(), 'webhook-'))
  const certificates = await ensureCertificates(directory, {
    hosts: ['127.0.0.1', 'localhost', 'hook.default.svc'],
    now: Date.now,
  })
  const seen: Review[] = []
  const server = createServer(
    { key: certificates.server.key, cert: certificates.server.certificate },
    (request, response) => {
      let body = ''
      request.setEncoding('utf8').on('data', (chunk: string) => {
        body += chunk
      })
      const respond = async (): Promise<void> => {
        const review = JSON.parse(body) as Review
        seen.push(review.request)
        const path = (request.url ?? '').replace(/\?.*/, '')
        if (path === SWITCHING_PATH) return void request.socket.write(SWITCHING)
        const said = await answer(path, review.request)
        if (said === undefined) return
        const { kind, apiVersion } = review
        const text =
          typeof said === 'string'
            ? said
            : JSON.stringify({ kind, apiVersion, response: { uid: review.request.uid, ...said } })
        response.writeHead(200, { 'content-type': 'application/json' }).end(text)
      }
      request.on('end', () => void respond())
    },
  )
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    url: `https://127.0.0.1:${port}`,
    port,
    caBundle: Buffer.from(certificates.authority).toString('base64'),
    seen,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
      rmSync(directory, { recursive: true })
    },
  }
}
