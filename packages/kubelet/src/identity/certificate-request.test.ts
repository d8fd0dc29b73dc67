import { execFileSync } from 'node:child_process'
import { generateKeyPairSync } from 'node:crypto'
import { expect, test } from 'vitest'
import { certificateRequest } from './certificate-request.ts'

function read(request: string): string {
  const args = ['req', '-noout', '-verify', '-subject', '-text', '-nameopt', 'RFC2253']
  return execFileSync('openssl', args, { input: request, encoding: 'utf8', stdio: ['pipe', 'pipe', 'pipe'] })
}

test('OpenSSL reads who asks, for which names, and that he has the key', () => {
  const { privateKey: key } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' })
  const commonName = `system:node:${'a'.repeat(150)}.example`
  const text = read(
    certificateRequest({ commonName, organization: 'system:nodes', hosts: ['node.example', '192.0.2.7'], key }),
  )
  expect(text).toContain(`subject=CN=${commonName},O=system:nodes\n`)
  expect(text).toContain('DNS:node.example, IP Address:192.0.2.7\n')
  expect(text).toContain('Signature Algorithm: ecdsa-with-SHA256')
})

test('one without names asks for none', () => {
  const { privateKey: key } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' })
  const text = read(certificateRequest({ commonName: 'system:node:a', organization: 'system:nodes', key }))
  expect(text).toContain('subject=CN=system:node:a,O=system:nodes\n')
  expect(text).not.toContain('Alternative')
})
