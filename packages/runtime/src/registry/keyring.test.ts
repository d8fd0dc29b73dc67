import { describe, expect, test } from 'vitest'
import { createKeyring } from './keyring.ts'

const user = (username: string) => ({ username, password: 'p' })
const auth = (username: string) => ({ auth: Buffer.from(`${username}:p`).toString('base64') })

describe('createKeyring', () => {
  const keyring = createKeyring([
    {
      auths: {
        'https://index.docker.io/v1/': auth('hub'),
        'registry.example.org': auth('host'),
        'registry.example.org/team': auth('team'),
        'https://registry.example.org/v2/': auth('again'),
        '*.example.com': user('stars'),
        'ports.example.org:5000': user('port'),
        '****************************x.example.net': user('slow'),
        broken: { auth: Buffer.from('no colon').toString('base64') },
        token: { identitytoken: 'refresh' },
      },
    },
  ])
  test.each<[string, string, unknown[]]>([
    ['docker.io', 'library/busybox', [user('hub')]],
    ['registry.example.org', 'other/app', [user('host'), user('again')]],
    ['registry.example.org', 'team/app', [user('team'), user('host'), user('again')]],
    ['a.example.com', 'x', [user('stars')]],
    ['a.b.example.com', 'x', []],
    ['ports.example.org', 'x', []],
    ['ports.example.org:5000', 'x', [user('port')]],
    [`${'a'.repeat(60)}.example.net`, 'x', []],
    ['broken', 'x', []],
    ['token', 'x', [{ identityToken: 'refresh' }]],
  ])('%s/%s', (server, repository, expected) => expect(keyring.lookup(server, repository)).toEqual(expected))

  test('marks what it gives', () => {
    const marked = createKeyring([{ auths: { a: user('x') }, marks: (credential) => [JSON.stringify(credential)] }])
    expect(marked.lookup('a', 'b')).toEqual([{ ...user('x'), marks: ['{"username":"x","password":"p"}'] }])
  })
})
