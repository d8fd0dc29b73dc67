import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { get } from 'node:http'
import { request } from 'node:https'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import type { SecureVersion } from 'node:tls'
import { expect, test } from 'vitest'
import { createTestAuthority } from '../../../client/src/testing/test-certificates.ts'
import { plain, servePaths } from './serve-probes.ts'

test('serves TLS with the certificate of its directory, of its least version and no older one', async () => {
  await using authority = await createTestAuthority()
  const { certificate, key } = await authority.issue('metrics', ['IP:127.0.0.1'])
  const directory = mkdtempSync(join(tmpdir(), 'caisson-metrics-'))
  try {
    writeFileSync(join(directory, 'tls.crt'), certificate)
    writeFileSync(join(directory, 'tls.key'), key, { mode: 0o600 })
    await using served = await servePaths({
      flag: '--metrics-bind-address',
      address: '127.0.0.1:0',
      paths: { '/metrics': () => plain(200, 'one 1') },
      tls: { directory, minVersion: 'TLSv1.3' },
    })
    const ask = async (maxVersion: SecureVersion): Promise<string> => {
      const asked = request({
        port: served.port,
        host: '127.0.0.1',
        path: '/metrics',
        ca: authority.certificate,
        maxVersion,
        agent: false,
      })
      const [answer] = await once(asked.end(), 'response')
      return `${answer.statusCode} ${answer.socket.getProtocol()} ${await text(answer)}`
    }
    expect(await ask('TLSv1.3')).toBe('200 TLSv1.3 one 1\n')
    await expect(ask('TLSv1.2')).rejects.toThrow(/protocol version/i)
  } finally {
    rmSync(directory, { recursive: true })
  }
})

test('answers its kubelet whatever anybody else holds open', async () => {
  await using served = await servePaths({
    flag: '--health-probe-bind-address',
    address: '127.0.0.1:0',
    paths: { '/healthz': () => plain(200, 'ok') },
  })
  const { port = 0 } = served
  const held = Array.from({ length: 100 }, () => connect({ port, host: '127.0.0.1', localAddress: '127.0.0.2' }))
  const closed = held.map((socket) => once(socket.on('error', () => {}).resume(), 'close'))
  await Promise.all(held.map((socket) => once(socket, 'connect')))
  const probe = async (): Promise<string> => {
    const [answer] = await once(get({ port, host: '127.0.0.1', path: '/healthz', agent: false }), 'response')
    return `${answer.statusCode} ${await text(answer)}`
  }
  expect(await Promise.all([probe(), probe()])).toEqual(['200 ok\n', '200 ok\n'])
  // The oldest are closed, for room.
  await Promise.all(closed.slice(0, 36))
  for (const socket of held) socket.destroy()
})
