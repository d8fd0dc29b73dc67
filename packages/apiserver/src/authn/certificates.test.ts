import { createPublicKey, X509Certificate } from 'node:crypto'
import { chmod, chown, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect, type TLSSocket } from 'node:tls'
import { AsnConvert } from '@peculiar/asn1-schema'
import {
  AuthorityKeyIdentifier,
  Certificate,
  id_ce_authorityKeyIdentifier,
  id_ce_basicConstraints,
  id_ce_keyUsage,
  id_ce_subjectKeyIdentifier,
  SubjectKeyIdentifier,
} from '@peculiar/asn1-x509'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { ensureCertificates, keepCertificatesFresh } from './certificates.ts'
import { peerCertificateOf, userOfCertificate } from './client-certificate.ts'
import { componentUsers } from './component-users.ts'
import { kubeconfig } from './kubeconfig.ts'

const DAY = 24 * 60 * 60 * 1000
const START = Date.now()

let directory: string
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'certificates-'))
})
afterEach(async () => {
  await rm(directory, { recursive: true })
})

function ensure(now = START, hosts = ['127.0.0.1', '::1', 'localhost']) {
  return ensureCertificates(directory, { hosts, now: () => now })
}

async function contents(): Promise<Record<string, string>> {
  const names = (await readdir(directory)).sort()
  return Object.fromEntries(
    await Promise.all(names.map(async (name) => [name, await readFile(join(directory, name), 'utf8')] as const)),
  )
}

describe('ensureCertificates', () => {
  test('makes files that only their owner may read, in a directory that only their owner may enter', async () => {
    await chmod(directory, 0o755)
    await ensure()
    const modes = await Promise.all(
      (await readdir(directory)).sort().map(async (name) => [name, (await stat(join(directory, name))).mode & 0o777]),
    )
    expect(modes).toEqual([
      ['administrator.pem', 0o600],
      ['authority.pem', 0o600],
      ['server.pem', 0o600],
      ['service-account.pem', 0o600],
    ])
    expect((await stat(directory)).mode & 0o777).toBe(0o700)
  })

  test('changes nothing the second time', async () => {
    const first = await ensure()
    const before = await contents()
    const second = await ensure(START + 100 * DAY)
    expect(await contents()).toEqual(before)
    expect(second.server).toEqual(first.server)
    expect(second.renewAt).toBe(first.renewAt)
  })

  test('the certificates have what strict verifiers ask for', async () => {
    // Python 3.13 and OpenSSL with -x509_strict: both key identifiers, and the critical ones marked so.
    await ensure()
    const read = async (name: string) => {
      const { raw } = new X509Certificate(await readFile(join(directory, name)))
      const { tbsCertificate } = AsnConvert.parse(raw, Certificate)
      const all = tbsCertificate.extensions ?? []
      return new Map(all.map(({ extnID, critical, extnValue }) => [extnID, { critical, value: extnValue.buffer }]))
    }
    const authority = await read('authority.pem')
    const subjectKey = authority.get(id_ce_subjectKeyIdentifier)?.value ?? new ArrayBuffer(0)
    for (const name of ['authority.pem', 'server.pem', 'administrator.pem']) {
      const extensions = await read(name)
      const issuerKey = extensions.get(id_ce_authorityKeyIdentifier)?.value ?? new ArrayBuffer(0)
      expect(AsnConvert.parse(issuerKey, AuthorityKeyIdentifier).keyIdentifier).toEqual(
        AsnConvert.parse(subjectKey, SubjectKeyIdentifier),
      )
      expect([extensions.get(id_ce_basicConstraints)?.critical, extensions.get(id_ce_keyUsage)?.critical]).toEqual([
        true,
        true,
      ])
      expect(extensions.has(id_ce_subjectKeyIdentifier)).toBe(true)
    }
  })

  test('the server answers for its hosts and for the names that Pods use', async () => {
    const { server } = await ensure()
    const certificate = new X509Certificate(server.certificate)
    expect(certificate.subjectAltName?.split(', ')).toEqual([
      'DNS:kubernetes',
      'DNS:kubernetes.default',
      'DNS:kubernetes.default.svc',
      'DNS:kubernetes.default.svc.cluster.local',
      'IP Address:127.0.0.1',
      'IP Address:0:0:0:0:0:0:0:1',
      'DNS:localhost',
    ])
  })

  test('a new host gets a new server certificate and leaves the rest alone', async () => {
    const first = await ensure()
    const second = await ensure(START, ['127.0.0.1', '10.0.0.7'])
    expect(second.authority).toBe(first.authority)
    expect(second.administrator).toEqual(first.administrator)
    expect(new X509Certificate(second.server.certificate).checkIP('10.0.0.7')).toBe('10.0.0.7')
  })

  test('certificates are made anew when a third of their life is left, the authority with its old key', async () => {
    const first = await ensure()
    expect(Math.round((first.renewAt - START) / DAY)).toBe(243)
    const early = await ensure(first.renewAt - 1000)
    expect(early.administrator).toEqual(first.administrator)
    const due = await ensure(first.renewAt)
    expect(due.administrator).not.toEqual(first.administrator)
    expect(due.server).not.toEqual(first.server)
    expect(due.authority).toBe(first.authority)

    const years = await ensure(START + 8 * 365 * DAY)
    expect(years.authority).not.toBe(first.authority)
    const key = createPublicKey(years.authority)
    expect(key.equals(createPublicKey(first.authority))).toBe(true)
    // What the old one issued holds before the new one.
    expect(new X509Certificate(first.server.certificate).verify(key)).toBe(true)
    expect(years.serviceAccountKey.equals(first.serviceAccountKey)).toBe(true)
  })

  test('a clock that was set back gets certificates that are valid then', async () => {
    await ensure()
    const past = START - 400 * DAY
    const { server } = await ensure(past)
    expect(new X509Certificate(server.certificate).validFromDate.getTime()).toBeLessThanOrEqual(past)
  })

  test('a broken server certificate is made anew, a broken authority or token key is for a person to decide', async () => {
    const first = await ensure()
    await writeFile(join(directory, 'server.pem'), 'garbage')
    expect((await ensure()).server).not.toEqual(first.server)

    const { 'authority.pem': authority = '' } = await contents()
    await writeFile(join(directory, 'authority.pem'), 'garbage')
    await expect(ensure()).rejects.toThrow(/expected .*authority\.pem to hold the cluster's authority/)
    await writeFile(join(directory, 'authority.pem'), authority)
    await writeFile(join(directory, 'service-account.pem'), '')
    await expect(ensure()).rejects.toThrow(/expected .*service-account\.pem to hold a P-256 key/)
  })

  test("a file with another cluster's key is not taken for the authority's", async () => {
    const { 'authority.pem': authority = '', 'administrator.pem': administrator = '' } = await ensure().then(contents)
    await writeFile(
      join(directory, 'authority.pem'),
      authority.slice(0, authority.indexOf('-----BEGIN PRIVATE')) +
        administrator.slice(administrator.indexOf('-----BEGIN PRIVATE')),
    )
    await expect(ensure()).rejects.toThrow(/expected .*authority\.pem/)
  })

  test('a file in place of the directory is refused', async () => {
    const file = join(directory, 'file')
    await writeFile(file, '')
    await expect(ensureCertificates(file, { hosts: [], now: () => START })).rejects.toThrow(/EEXIST/)
  })

  test('a directory of somebody else is refused', async () => {
    await chown(directory, 12345, 12345)
    await expect(ensure()).rejects.toThrow(/to belong to uid 0, found uid 12345/)
  })
})

test('keepCertificatesFresh renews when due and tells of failures', async () => {
  const first = await ensure()
  let now = first.renewAt
  const controller = new AbortController()
  const told: string[] = []
  const failing = { ...first, renew: () => Promise.reject(new Error('disk full')) }
  await keepCertificatesFresh(failing, {
    now: () => now,
    signal: controller.signal,
    onRenewed: () => told.push('renewed'),
    onError: (error) => {
      told.push(String(error))
      controller.abort()
    },
  })
  const again = new AbortController()
  now = first.renewAt
  await keepCertificatesFresh(
    { ...first, renew: () => ensure(now) },
    {
      now: () => now,
      signal: again.signal,
      onRenewed: (next) => {
        told.push(`renewed until ${Math.round((next.renewAt - now) / DAY)} days later`)
        again.abort()
      },
      onError: (error) => told.push(String(error)),
    },
  )
  expect(told).toEqual(['Error: disk full', 'renewed until 243 days later'])
})

describe('client certificates over TLS', () => {
  interface Answer {
    authorized: boolean
    user: unknown
  }

  async function ask(credentials: { cert?: string; key?: string }, now = Date.now()): Promise<Answer> {
    const certificates = await ensure()
    const server = createServer({
      key: certificates.server.key,
      cert: certificates.server.certificate,
      ca: certificates.authority,
      requestCert: true,
      rejectUnauthorized: false,
    })
    server.on('request', (request, response) => {
      const socket = request.socket as TLSSocket
      const certificate = peerCertificateOf(socket)
      const user = certificate && userOfCertificate(certificate, now)
      response.end(JSON.stringify({ authorized: socket.authorized, user: user ?? null }))
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as AddressInfo
    try {
      const socket = connect({ port, host: '127.0.0.1', ca: certificates.authority, ...credentials })
      socket.end('GET / HTTP/1.0\r\n\r\n')
      let text = ''
      for await (const chunk of socket) text += String(chunk)
      return JSON.parse(text.slice(text.indexOf('\r\n\r\n'))) as Answer
    } finally {
      server.close()
    }
  }

  test('the administrator is kubernetes-admin of system:masters', async () => {
    const { administrator } = await ensure()
    expect(await ask({ cert: administrator.certificate, key: administrator.key })).toEqual({
      authorized: true,
      user: { username: 'kubernetes-admin', groups: ['system:masters'] },
    })
  })

  test('a component is its own user', async () => {
    const { issueClientCertificate } = await ensure()
    const { certificate, key } = issueClientCertificate({ user: componentUsers.node('näh-1') })
    expect(await ask({ cert: certificate, key })).toEqual({
      authorized: true,
      user: { username: 'system:node:näh-1', groups: ['system:nodes'] },
    })
  })

  test('several groups, and one that looks like two', async () => {
    const { issueClientCertificate } = await ensure()
    const groups = ['a', 'b, O=system:masters', 'c\nO=system:masters', 'd+O=system:masters']
    const { certificate, key } = issueClientCertificate({ user: { username: 'eve\nCN=admin', groups } })
    expect((await ask({ cert: certificate, key })).user).toEqual({ username: 'eve\nCN=admin', groups })
  })

  test('nobody without a certificate, and nobody with one of another authority', async () => {
    expect(await ask({})).toEqual({ authorized: false, user: null })
    const other = await mkdtemp(join(tmpdir(), 'certificates-'))
    try {
      const { administrator } = await ensureCertificates(other, { hosts: [], now: () => START })
      expect(await ask({ cert: administrator.certificate, key: administrator.key })).toEqual({
        authorized: false,
        user: null,
      })
    } finally {
      await rm(other, { recursive: true })
    }
  })

  test("the server's own certificate does not make a client", async () => {
    const { server } = await ensure()
    expect(await ask({ cert: server.certificate, key: server.key })).toEqual({ authorized: false, user: null })
  })

  test('a certificate that expires while its connection is open stops counting', async () => {
    const { issueClientCertificate } = await ensure()
    const { certificate, key } = issueClientCertificate({
      user: { username: 'brief', groups: [] },
      lifetime: 60_000,
    })
    expect((await ask({ cert: certificate, key })).user).toEqual({ username: 'brief', groups: [] })
    expect((await ask({ cert: certificate, key }, Date.now() + 61_000)).user).toBeNull()
  })
})

test('a kubeconfig carries all it needs', async () => {
  const { authority, administrator } = await ensure()
  const config = kubeconfig({
    server: 'https://127.0.0.1:6443',
    authority,
    name: 'caisson',
    user: 'kubernetes-admin',
    credentials: administrator,
  })
  const data = config.users[0]?.user as Record<string, string>
  const key = createPublicKey(Buffer.from(data['client-key-data'] ?? '', 'base64').toString())
  expect(new X509Certificate(Buffer.from(data['client-certificate-data'] ?? '', 'base64')).publicKey.equals(key)).toBe(
    true,
  )
  expect({ ...config, users: [], clusters: [] }).toEqual({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [],
    users: [],
    contexts: [{ name: 'kubernetes-admin@caisson', context: { cluster: 'caisson', user: 'kubernetes-admin' } }],
    'current-context': 'kubernetes-admin@caisson',
  })
})
