/** The router within TLS: certificates that are renewed, and clients that show theirs. */
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import type { IncomingMessage } from 'node:http'
import { connect as connectHttp2, type IncomingHttpHeaders } from 'node:http2'
import { request as httpsRequest, type RequestOptions } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { connect, type TLSSocket } from 'node:tls'
import { beforeEach, expect, test } from 'vitest'
import { routerFixture } from '../testing/router-fixture.ts'
import type { TlsOptions } from './tls-files.ts'

const fixture = routerFixture()
const { start, pod, serve } = fixture

let directory: string
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'router-tls-'))
  fixture.stack.defer(() => rmSync(directory, { recursive: true }))
})

/** Signed by itself, for 127.0.0.1; gives the files. */
function certificate(name: string): { certificateFile: string; keyFile: string } {
  const [keyFile, certificateFile] = ['key', 'crt'].map((end) => join(directory, `${name}.${end}`)) as [string, string]
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', keyFile]
  const subject = ['-subj', `/CN=${name}`, '-addext', 'subjectAltName=IP:127.0.0.1', '-days', '2']
  execFileSync('openssl', ['req', '-x509', ...key, '-out', certificateFile, ...subject], { stdio: 'pipe' })
  return { certificateFile, keyFile }
}

async function startTls(options: Partial<TlsOptions> = {}, errors: unknown[] = []) {
  const files = certificate('server')
  const address = { host: '127.0.0.1', port: 0 }
  const router = await start({
    listenTls: { address, ...files, clients: 'off', ...options },
    onError: (error) => void errors.push(error),
  })
  return { ...files, port: router.tlsPort ?? 0 }
}

async function ask(options: RequestOptions): Promise<{ status: number | undefined; body: string }> {
  const request = httpsRequest({ host: '127.0.0.1', servername: '', agent: false, ...options })
  request.end()
  const [response] = (await once(request, 'response')) as [IncomingMessage]
  return { status: response.statusCode, body: await text(response) }
}

async function names(port: number): Promise<string> {
  const socket = connect({ host: '127.0.0.1', port, rejectUnauthorized: false })
  await once(socket, 'secureConnect')
  const { subject } = (socket as TLSSocket).getPeerCertificate()
  socket.destroy()
  return String(subject.CN)
}

test('HTTP/1.1 and HTTP/2 pass, and sandboxes are told of it', async () => {
  const { port, certificateFile } = await startTls()
  await pod('box')
  const inside = await serve((request, response) => void response.end(request.headers['x-forwarded-proto']))
  const headers = { 'x-sandbox-id': 'box', 'x-sandbox-port': String(inside) }
  const ca = readFileSync(certificateFile)
  // By a name of the internet too: a page that has one lead here has no certificate of it.
  expect(await ask({ port, ca, headers: { ...headers, host: 'router.test' } })).toEqual({ status: 200, body: 'https' })
  const session = connectHttp2(`https://127.0.0.1:${port}`, { ca })
  fixture.stack.defer(() => session.destroy())
  const stream = session.request({ ':path': '/', ...headers })
  const [answer] = (await once(stream, 'response')) as [IncomingHttpHeaders]
  expect([answer[':status'], await text(stream)]).toEqual([200, 'https'])
})

test('a certificate that is renewed is used at once, and one that is broken is not', async () => {
  const errors: unknown[] = []
  const { port, certificateFile, keyFile } = await startTls({}, errors)
  expect(await names(port)).toBe('server')
  writeFileSync(certificateFile, 'no certificate')
  await expect.poll(() => errors.length).toBe(1)
  expect(await names(port)).toBe('server')
  const renewed = certificate('renewed')
  renameSync(renewed.keyFile, keyFile)
  renameSync(renewed.certificateFile, certificateFile)
  await expect.poll(() => names(port)).toBe('renewed')
})

test.each<[clients: TlsOptions['clients'], outcomes: unknown[]]>([
  ['off', [200, 200, 200]],
  ['optional', [200, 200, 'refused']],
  ['required', ['refused', 200, 'refused']],
])('clients’ certificates that are %s', async (clients, outcomes) => {
  const [known, stranger] = [certificate('known'), certificate('stranger')]
  const { port, certificateFile } = await startTls({ clients, clientAuthorityFile: known.certificateFile })
  const by = async (files?: { certificateFile: string; keyFile: string }): Promise<unknown> => {
    const own = files && { cert: readFileSync(files.certificateFile), key: readFileSync(files.keyFile) }
    const asked = ask({ port, ca: readFileSync(certificateFile), path: '/healthz', ...own })
    return await asked.then(
      ({ status }) => status,
      () => 'refused',
    )
  }
  expect([await by(), await by(known), await by(stranger)]).toEqual(outcomes)
})
