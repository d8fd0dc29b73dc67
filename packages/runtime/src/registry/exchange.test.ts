/** What whoever asks learns of a connection that came to nothing, with real servers on loopback. */
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { createServer as createSecureServer } from 'node:https'
import { type AddressInfo, createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { createExchange } from './exchange.ts'
import { hiddenDetail } from './registry-failure.ts'

const LIMITS = { headMs: 500, windowMs: 500, windowBytes: 1024 }

async function listen(server: Server): Promise<string> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return `127.0.0.1:${(server.address() as AddressInfo).port}`
}

async function selfSigned(): Promise<{ key: Buffer; cert: Buffer }> {
  const directory = await mkdtemp(join(tmpdir(), 'caisson-exchange-'))
  const [key, cert] = [join(directory, 'key'), join(directory, 'cert')]
  const about = ['-subj', '/CN=other', '-days', '2', '-keyout', key, '-out', cert]
  await promisify(execFile)('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', ...about])
  const made = { key: await readFile(key), cert: await readFile(cert) }
  await rm(directory, { recursive: true })
  return made
}

async function failure(origin: string, tellsWhy: boolean): Promise<Error> {
  using exchange = createExchange({ limits: LIMITS })
  const sent = exchange.send({
    method: 'GET',
    url: new URL(`${origin}/v2/`),
    headers: {},
    most: 'this-machine',
    tls: { ca: [], skipVerify: false },
    tellsWhy,
    signal: new AbortController().signal,
  })
  return await sent.then(
    () => new Error('there was an answer'),
    (error: Error) => error,
  )
}

test('a port that is closed, one that is silent and one of another authority are told apart to administrators alone', async () => {
  const silent = createServer()
  const other = createSecureServer(await selfSigned(), (_request, response) => void response.end())
  const closed = createServer()
  const hosts = [await listen(closed), await listen(silent), await listen(other)]
  closed.close()
  await once(closed, 'close')
  try {
    const [hidden, told] = [false, true].map((tellsWhy) => hosts.map((host) => failure(`https://${host}`, tellsWhy)))
    const reasons = [/ECONNREFUSED/, /did not answer within 0\.5 s/, /certificate .*not trusted/]
    for (const [index, host] of hosts.entries()) {
      const error = await hidden?.[index]
      expect(error).toMatchObject({ name: 'TransientFailure', answered: false })
      expect(error?.message).toBe(
        `${host} cannot be reached: the log that 'caisson status' names says why; 'caisson image import FILE' brings an image without it`,
      )
      expect(hiddenDetail(error)).toMatch(reasons[index] ?? '')
      expect((await told?.[index])?.message).toMatch(reasons[index] ?? '')
      expect(hiddenDetail(await told?.[index])).toBeUndefined()
    }
  } finally {
    other.closeAllConnections()
    other.close()
    silent.close()
  }
})

test('a server that answers in a protocol that nobody has asked for has failed', async () => {
  const switching = 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: other\r\n\r\n'
  const server = createServer((socket) => void socket.on('error', () => {}).write(switching))
  const host = await listen(server)
  expect(await failure(`http://${host}`, true)).toMatchObject({
    name: 'TransientFailure',
    answered: true,
    message: `${host} answered in another protocol than HTTP`,
  })
  server.close()
})
