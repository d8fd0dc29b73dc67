import { createHmac, generateKeyPairSync, type KeyObject, randomUUID, sign } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { KubeObject } from '@caisson/api'
import { SignJWT } from 'jose'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { openStore } from '../storage/sqlite-store.ts'
import type { Store } from '../storage/store.ts'
import { type Authenticator, createAuthenticator } from './authenticate.ts'
import { requestToken, reviewSelf, reviewToken } from './service-account-tokens.ts'
import { jsonWebKeySet, openidConfiguration, verificationKey } from './token-keys.ts'

const ISSUER = 'https://kubernetes.default.svc.cluster.local'
const NOW = Date.UTC(2026, 0, 1)

const { privateKey: signingKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' })
const { privateKey: rsaKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
const keys = [verificationKey(signingKey), verificationKey(rsaKey)]

let directory: string
let store: Store
let now: number
let authenticator: Authenticator

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'authenticate-'))
  store = openStore({ directory })
})
afterAll(async () => {
  await store[Symbol.asyncDispose]()
  await rm(directory, { recursive: true })
})

beforeEach(async () => {
  now = NOW
  await put('serviceaccounts', object('ServiceAccount', 'robot', { namespace: 'a', uid: 'sa-1' }))
  await put(
    'pods',
    object('Pod', 'pod', { namespace: 'a', uid: 'pod-1', spec: { serviceAccountName: 'robot', nodeName: 'node' } }),
  )
  await put('pods', object('Pod', 'other', { namespace: 'a', uid: 'pod-2', spec: { serviceAccountName: 'default' } }))
  await put('secrets', object('Secret', 'secret', { namespace: 'a', uid: 'secret-1' }))
  await put('nodes', object('Node', 'node', { uid: 'node-1' }))
  authenticator = createAuthenticator({
    tokens: [{ token: 'open-sesame', user: { username: 'ali', groups: ['forty'] } }],
    serviceAccounts: { issuer: ISSUER, audiences: [ISSUER], keys, source: store },
    now: () => now,
  })
})

interface Extra {
  namespace?: string
  uid: string
  spec?: unknown
  deletionTimestamp?: string
}

function object(kind: string, name: string, { spec, ...metadata }: Extra): KubeObject {
  return { apiVersion: 'v1', kind, metadata: { name, ...metadata }, ...(spec !== undefined && { spec }) }
}

function put(resource: string, object: KubeObject): Promise<unknown> {
  return store.write((transaction) => transaction.put(resource, object))
}

function remove(resource: string, namespace: string | undefined, name: string): Promise<unknown> {
  return store.write((transaction) => {
    const found = transaction.get(resource, namespace, name)
    if (found) transaction.delete(resource, found)
  })
}

function bearer(token: string) {
  return authenticator.authenticate({ headers: { authorization: `Bearer ${token}` } })
}

async function issue(spec: object = {}, key: KeyObject = signingKey): Promise<string> {
  const request = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', metadata: {}, spec }
  const answer = await requestToken(
    request,
    { namespace: 'a', name: 'robot' },
    { issuer: ISSUER, audiences: [ISSUER], signingKey: key, source: store, now: () => now },
  )
  return (answer.status as { token: string }).token
}

/** Claims as we issue them, to be broken one by one. */
function claims(changed: object = {}): Record<string, unknown> {
  const seconds = NOW / 1000
  return {
    iss: ISSUER,
    aud: [ISSUER],
    sub: 'system:serviceaccount:a:robot',
    iat: seconds,
    nbf: seconds,
    exp: seconds + 600,
    jti: 'id',
    'kubernetes.io': { namespace: 'a', serviceaccount: { name: 'robot', uid: 'sa-1' } },
    ...changed,
  }
}

function signed(payload: Record<string, unknown>, header: object = {}, key = signingKey): Promise<string> {
  return new SignJWT(payload).setProtectedHeader({ alg: 'ES256', kid: keys[0]?.id ?? '', ...header }).sign(key)
}

function base64(value: unknown): string {
  return Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url')
}

describe('static tokens', () => {
  test('name their user, who is authenticated', async () => {
    expect(await bearer('open-sesame')).toEqual({ username: 'ali', groups: ['forty', 'system:authenticated'] })
  })

  test.each([
    ['nobody', {}],
    ['a wrong token', { authorization: 'Bearer open-sesam' }],
    ['an empty token', { authorization: 'Bearer ' }],
    ['another scheme', { authorization: 'Basic open-sesame' }],
    ['the token alone', { authorization: 'open-sesame' }],
    ['something behind the token', { authorization: 'Bearer open-sesame x' }],
    ['two headers', { authorization: ['Bearer open-sesame', 'Bearer open-sesame'] }],
    ['a header by the name of a prototype', JSON.parse('{"__proto__": {"authorization": "Bearer open-sesame"}}')],
    [
      'a protocol without an upgrade',
      { 'sec-websocket-protocol': `x,base64url.bearer.authorization.k8s.io.${base64('open-sesame')}` },
    ],
  ])('%s is nobody', async (_name, headers) => {
    expect(await authenticator.authenticate({ headers })).toBeUndefined()
  })

  test('the scheme in any case, and the protocol of a WebSocket', async () => {
    for (const headers of [
      { authorization: 'bEARER  open-sesame' },
      {
        upgrade: 'websocket',
        'sec-websocket-protocol': `v5.channel.k8s.io, base64url.bearer.authorization.k8s.io.${base64('open-sesame')}`,
      },
    ]) {
      expect((await authenticator.authenticate({ headers }))?.username).toBe('ali')
    }
  })
})

describe('service account tokens', () => {
  test('say whose they are and what they are bound to', async () => {
    const token = await issue({ boundObjectRef: { apiVersion: 'v1', kind: 'Pod', name: 'pod', uid: 'pod-1' } })
    const user = await bearer(token)
    expect(user).toEqual({
      username: 'system:serviceaccount:a:robot',
      uid: 'sa-1',
      groups: ['system:serviceaccounts', 'system:serviceaccounts:a', 'system:authenticated'],
      extra: {
        'authentication.kubernetes.io/credential-id': [expect.stringMatching(/^JTI=[-0-9a-f]{36}$/)],
        'authentication.kubernetes.io/node-name': ['node'],
        'authentication.kubernetes.io/node-uid': ['node-1'],
        'authentication.kubernetes.io/pod-name': ['pod'],
        'authentication.kubernetes.io/pod-uid': ['pod-1'],
      },
    })
    expect(await bearer(token)).toEqual(user)
  })

  test('may be signed with RSA too', async () => {
    expect((await bearer(await issue({}, rsaKey)))?.username).toBe('system:serviceaccount:a:robot')
  })

  test.each<[name: string, token: () => string | Promise<string>]>([
    ['no algorithm', () => `${base64({ alg: 'none', kid: keys[0]?.id })}.${base64(claims())}.`],
    ['no algorithm, spelled otherwise', () => `${base64({ alg: 'nOnE', kid: keys[0]?.id })}.${base64(claims())}.`],
    [
      'the public key as the secret of an HMAC',
      () => {
        const head = `${base64({ alg: 'HS256', kid: keys[0]?.id })}.${base64(claims())}`
        const secret = keys[0]?.key.export({ type: 'spki', format: 'pem' }) ?? ''
        return `${head}.${createHmac('sha256', secret).update(head).digest('base64url')}`
      },
    ],
    ["the other key's algorithm", () => signed(claims(), { alg: 'RS256' }, rsaKey)],
    ["the other key's id", () => signed(claims(), { kid: keys[1]?.id })],
    ['no key id', () => signed(claims(), { kid: undefined })],
    [
      'a key of its own in the header',
      () => {
        const own = generateKeyPairSync('ec', { namedCurve: 'prime256v1' })
        return signed(claims(), { jwk: own.publicKey.export({ format: 'jwk' }) }, own.privateKey)
      },
    ],
    [
      'an extension that must be understood',
      () => {
        const header = { alg: 'ES256', kid: keys[0]?.id, crit: ['acme'], acme: 1 }
        const head = `${base64(header)}.${base64(claims())}`
        const signature = sign('sha256', Buffer.from(head), { key: signingKey, dsaEncoding: 'ieee-p1363' })
        return `${head}.${signature.toString('base64url')}`
      },
    ],
    ['another issuer', () => signed(claims({ iss: 'https://elsewhere' }))],
    ['no issuer', () => signed(claims({ iss: undefined }))],
    ['another audience', () => signed(claims({ aud: ['vault'] }))],
    ['no audience', () => signed(claims({ aud: [] }))],
    ['an audience that is an object', () => signed(claims({ aud: { 0: ISSUER } }))],
    ['an end in the past', () => signed(claims({ exp: NOW / 1000 }))],
    ['no end', () => signed(claims({ exp: undefined }))],
    ['a beginning in the future', () => signed(claims({ nbf: NOW / 1000 + 1 }))],
    ['no beginning', () => signed(claims({ nbf: undefined }))],
    ['a subject other than its account', () => signed(claims({ sub: 'system:serviceaccount:kube-system:admin' }))],
    ['no account', () => signed(claims({ 'kubernetes.io': { namespace: 'a' } }))],
    [
      'an account without uid',
      () => signed(claims({ 'kubernetes.io': { namespace: 'a', serviceaccount: { name: 'robot' } } })),
    ],
    [
      'an account of before',
      () => signed(claims({ 'kubernetes.io': { namespace: 'a', serviceaccount: { name: 'robot', uid: 'sa-0' } } })),
    ],
    [
      'a Pod that is no reference',
      () =>
        signed(
          claims({ 'kubernetes.io': { namespace: 'a', serviceaccount: { name: 'robot', uid: 'sa-1' }, pod: 'pod' } }),
        ),
    ],
    ['a claim list for a payload', () => `${base64({ alg: 'ES256' })}.${base64([])}.x`],
    ['a payload of null', () => `${base64({ alg: 'ES256' })}.${base64('null')}.x`],
    ['no JSON', () => `${base64({ alg: 'ES256' })}.${base64('{')}.x`],
    ['a token of megabytes', () => signed(claims({ padding: 'x'.repeat(1 << 20) }))],
    ['two segments', () => 'a.b'],
    ['five segments', () => `${base64({ alg: 'dir' })}....`],
    [
      'a payload changed after signing',
      async () => {
        const [header = '', , signature = ''] = (await issue()).split('.')
        return [header, base64(claims({ exp: NOW })), signature].join('.')
      },
    ],
  ])('%s is nobody', async (_name, token) => {
    expect(await bearer(await token())).toBeUndefined()
  })

  test('the untouched claims pass, so the table above fails for its reasons', async () => {
    expect((await bearer(await signed(claims())))?.username).toBe('system:serviceaccount:a:robot')
  })

  test('end at their time, remembered or not', async () => {
    const token = await issue({ expirationSeconds: 600 })
    expect(await bearer(token)).toBeDefined()
    now += 599_999
    expect(await bearer(token)).toBeDefined()
    now += 1
    expect(await bearer(token)).toBeUndefined()
    now = NOW - 1000
    expect(await bearer(token)).toBeUndefined()
  })

  test.each([
    ['serviceaccounts', 'a', 'robot', {}],
    ['pods', 'a', 'pod', { boundObjectRef: { apiVersion: 'v1', kind: 'Pod', name: 'pod' } }],
    ['secrets', 'a', 'secret', { boundObjectRef: { apiVersion: 'v1', kind: 'Secret', name: 'secret' } }],
    ['nodes', undefined, 'node', { boundObjectRef: { apiVersion: 'v1', kind: 'Node', name: 'node' } }],
  ])('die with their %s at once, and with its successor', async (resource, namespace, name, spec) => {
    const token = await issue(spec)
    expect(await bearer(token)).toBeDefined()
    const before = store.get(resource, namespace, name) as KubeObject
    await remove(resource, namespace, name)
    expect(await bearer(token)).toBeUndefined()
    await put(resource, structuredClone({ ...before, metadata: { ...before.metadata, uid: randomUUID() } }))
    expect(await bearer(token)).toBeUndefined()
    await put(resource, structuredClone(before))
    expect(await bearer(token)).toBeDefined()
  })

  test('a Pod that is being deleted keeps its token for a minute', async () => {
    const token = await issue({ boundObjectRef: { apiVersion: 'v1', kind: 'Pod', name: 'pod' } })
    const deletionTimestamp = new Date(NOW).toISOString()
    await put('pods', object('Pod', 'pod', { namespace: 'a', uid: 'pod-1', deletionTimestamp }))
    now = NOW + 60_000
    expect(await bearer(token)).toBeDefined()
    now += 1
    expect(await bearer(token)).toBeUndefined()
  })
})

describe('TokenRequest', () => {
  const target = { namespace: 'a', name: 'robot' }
  const options = () => ({ issuer: ISSUER, audiences: [ISSUER], signingKey, source: store, now: () => now })
  const request = (spec: object, metadata: object = {}) => ({
    apiVersion: 'authentication.k8s.io/v1',
    kind: 'TokenRequest',
    metadata,
    spec,
  })

  test('fills in what was left out', async () => {
    expect(await requestToken(request({}), target, options())).toEqual({
      apiVersion: 'authentication.k8s.io/v1',
      kind: 'TokenRequest',
      metadata: { name: 'robot', namespace: 'a', uid: 'sa-1', creationTimestamp: '2026-01-01T00:00:00Z' },
      spec: { audiences: [ISSUER], expirationSeconds: 3600, boundObjectRef: null },
      status: { token: expect.any(String), expirationTimestamp: '2026-01-01T01:00:00Z' },
    })
  })

  test.each<[name: string, spec: object, metadata: object, message: string]>([
    [
      'too short',
      { expirationSeconds: 599 },
      {},
      'TokenRequest.authentication.k8s.io "" is invalid: spec.expirationSeconds: Invalid value: 599: may not specify a duration less than 10 minutes',
    ],
    [
      'too long',
      { expirationSeconds: 2 ** 32 + 1 },
      {},
      'TokenRequest.authentication.k8s.io "" is invalid: spec.expirationSeconds: Invalid value: 4294967297: may not specify a duration larger than 2^32 seconds',
    ],
    [
      'another name',
      {},
      { name: 'default' },
      'TokenRequest.authentication.k8s.io "robot" is invalid: metadata.name: Invalid value: "default": must match the service account name if specified',
    ],
    [
      'another uid',
      {},
      { uid: 'x' },
      'Operation cannot be fulfilled on TokenRequest.authentication.k8s.io "robot": the UID in the token request (x) does not match the UID of the service account (sa-1)',
    ],
    [
      'a Pod of another account',
      { boundObjectRef: { apiVersion: 'v1', kind: 'Pod', name: 'other' } },
      {},
      'cannot bind token for serviceaccount "robot" to pod running with different serviceaccount name.',
    ],
    [
      'a Pod that is not there',
      { boundObjectRef: { apiVersion: 'v1', kind: 'Pod', name: 'x' } },
      {},
      'pods "x" not found',
    ],
    [
      'a Pod of before',
      { boundObjectRef: { apiVersion: 'v1', kind: 'Pod', name: 'pod', uid: 'pod-0' } },
      {},
      'Operation cannot be fulfilled on Pod "pod": the UID in the bound object reference (pod-1) does not match the UID in record. The object might have been deleted and then recreated',
    ],
    [
      'something that tokens are not bound to',
      { boundObjectRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: 'x' } },
      {},
      'cannot bind token to object of type apps/v1, Kind=Deployment',
    ],
  ])('refuses %s', async (_name, spec, metadata, message) => {
    await expect(requestToken(request(spec, metadata), target, options())).rejects.toThrow(message)
  })

  test('refuses an account that is not there', async () => {
    await expect(requestToken(request({}), { namespace: 'a', name: 'x' }, options())).rejects.toMatchObject({
      code: 404,
      message: 'serviceaccounts "x" not found',
    })
  })
})

describe('reviews', () => {
  const review = (spec: object) => ({ apiVersion: 'authentication.k8s.io/v1', kind: 'TokenReview', metadata: {}, spec })

  test('a TokenReview for another audience', async () => {
    const token = await issue({ audiences: ['vault', 'other'] })
    expect((await reviewToken(review({ token, audiences: ['vault'] }), authenticator)).status).toEqual({
      authenticated: true,
      audiences: ['vault'],
      user: expect.objectContaining({ username: 'system:serviceaccount:a:robot' }),
    })
    expect((await reviewToken(review({ token }), authenticator)).status).toEqual({
      user: {},
      error: `[invalid bearer token, token audiences ["vault" "other"] is invalid for the target audiences ["${ISSUER}"]]`,
    })
    expect((await reviewToken(review({ token: 'x' }), authenticator)).status).toEqual({
      user: {},
      error: 'invalid bearer token',
    })
    await expect(reviewToken(review({}), authenticator)).rejects.toThrow('token is required for TokenReview')
  })

  test('a SelfSubjectReview', () => {
    expect(reviewSelf({ username: 'ali', groups: ['forty'] }, NOW)).toEqual({
      apiVersion: 'authentication.k8s.io/v1',
      kind: 'SelfSubjectReview',
      metadata: { creationTimestamp: '2026-01-01T00:00:00Z' },
      status: { userInfo: { username: 'ali', groups: ['forty'] } },
    })
  })
})

test('the discovery documents name public keys only', () => {
  const set = jsonWebKeySet(keys)
  expect(set.keys.map((key) => Object.keys(key).sort())).toEqual([
    ['alg', 'crv', 'kid', 'kty', 'use', 'x', 'y'],
    ['alg', 'e', 'kid', 'kty', 'n', 'use'],
  ])
  expect(openidConfiguration(ISSUER, 'https://127.0.0.1:6443/openid/v1/jwks', keys)).toEqual({
    issuer: ISSUER,
    jwks_uri: 'https://127.0.0.1:6443/openid/v1/jwks',
    response_types_supported: ['id_token'],
    subject_types_supported: ['public'],
    id_token_signing_alg_values_supported: ['ES256', 'RS256'],
  })
})
