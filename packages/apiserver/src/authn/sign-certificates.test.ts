import { X509Certificate } from 'node:crypto'
import { request as httpsRequest } from 'node:https'
import { GeneralName } from '@peculiar/asn1-x509'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  COMMON_NAME,
  newKey,
  ORGANIZATION,
  type SigningRequestOptions,
  signingRequest,
} from '../testing/signing-request.ts'
import { startTemporaryServer, TENANT_TOKEN, type WholeServer } from '../testing/whole-server.ts'

const REQUESTS = '/apis/certificates.k8s.io/v1/certificatesigningrequests'
const CLIENT = 'kubernetes.io/kube-apiserver-client'
const TENANT = { anonymous: true, headers: { authorization: `Bearer ${TENANT_TOKEN}` } }
const APPROVED = { type: 'Approved', status: 'True', reason: 'Known', message: 'It is alice.' }

let api: WholeServer

beforeAll(async () => {
  api = await startTemporaryServer()
})

afterAll(async () => {
  await api[Symbol.asyncDispose]()
  expect(api.reported).toEqual([])
})

interface Asked extends SigningRequestOptions {
  name: string
  spec?: object
}

function ask({ name, spec, ...request }: Asked, as: object = {}): ReturnType<WholeServer['request']> {
  const body = {
    metadata: { name },
    spec: {
      request: Buffer.from(signingRequest(request)).toString('base64'),
      signerName: CLIENT,
      usages: ['client auth'],
      ...spec,
    },
  }
  return api.request('POST', REQUESTS, { body, ...as })
}

async function read(name: string): Promise<{ metadata: object; status: Record<string, unknown> }> {
  return (await api.request('GET', `${REQUESTS}/${name}`)).body
}

async function decide(name: string, conditions: object[], as: object = {}): Promise<unknown> {
  const { metadata } = await read(name)
  const { status, body } = await api.request('PUT', `${REQUESTS}/${name}/approval`, {
    body: { metadata, status: { conditions } },
    ...as,
  })
  return status === 200 ? 200 : body.message
}

async function grant(name: string, rule: object): Promise<void> {
  const role = { metadata: { name }, rules: [{ apiGroups: ['certificates.k8s.io'], ...rule }] }
  await api.request('POST', '/apis/rbac.authorization.k8s.io/v1/clusterroles', { body: role })
  const binding = {
    metadata: { name },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name },
    subjects: [{ kind: 'User', apiGroup: 'rbac.authorization.k8s.io', name: 'tenant' }],
  }
  await api.request('POST', '/apis/rbac.authorization.k8s.io/v1/clusterrolebindings', { body: binding })
}

test('an approved request becomes a certificate, and who has it is who it says', async () => {
  const key = newKey()
  const subject = [
    [ORGANIZATION, 'developers'],
    [COMMON_NAME, 'alice'],
  ] as const
  const made = await ask({ name: 'alice', key, subject, spec: { expirationSeconds: 3600, username: 'somebody' } })
  expect([made.status, made.body.spec.username, made.body.spec.groups, made.body.status]).toEqual([
    201,
    'kubernetes-admin',
    ['system:masters', 'system:authenticated'],
    {},
  ])
  expect(await decide('alice', [APPROVED])).toBe(200)
  await expect.poll(async () => (await read('alice')).status['certificate']).toBeDefined()
  const pem = Buffer.from((await read('alice')).status['certificate'] as string, 'base64').toString()
  const certificate = new X509Certificate(pem)
  const minutes = (certificate.validToDate.getTime() - certificate.validFromDate.getTime()) / 60_000
  expect([certificate.subject, certificate.ca, certificate.keyUsage, Math.round(minutes)]).toEqual([
    'O=developers\nCN=alice',
    false,
    ['1.3.6.1.5.5.7.3.2'],
    65,
  ])
  const { authority } = api.certificates
  const review = { apiVersion: 'authentication.k8s.io/v1', kind: 'SelfSubjectReview' }
  const answer = await new Promise<string>((resolve, reject) => {
    const request = httpsRequest(`${api.url}/apis/authentication.k8s.io/v1/selfsubjectreviews`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      ca: authority,
      cert: pem,
      key: key.export({ type: 'pkcs8', format: 'pem' }),
    })
    request.on('error', reject)
    request.on('response', (response) => {
      let text = ''
      response.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk
      })
      response.on('end', () => resolve(text))
    })
    request.end(JSON.stringify(review))
  })
  const { username, groups } = JSON.parse(answer).status.userInfo
  expect([username, groups]).toEqual(['alice', ['developers', 'system:authenticated']])
})

describe('is not signed, and says why', () => {
  test.each<[name: string, asked: Omit<Asked, 'name'>, message: string]>([
    ['server', { spec: { usages: ['server auth'] } }, 'invalid usage for client certificate: server auth'],
    [
      'nothing',
      { spec: { usages: ['digital signature'] } },
      'missing required usage for client certificate: client auth',
    ],
    ['nobody', { subject: [] }, 'subject common name is required: it is the name of the user'],
    [
      'names',
      { alternativeNames: [new GeneralName({ dNSName: 'kubernetes.default' })] },
      'DNS subjectAltNames are not allowed',
    ],
    [
      'more',
      {
        subject: [
          [COMMON_NAME, 'alice'],
          ['2.5.4.6', 'AT'],
        ],
      },
      'subject attributes other than common name and organization are not signed',
    ],
    ['no-node', { spec: { signerName: `${CLIENT}-kubelet` } }, 'subject organization is not system:nodes'],
    [
      'node-of-others',
      {
        spec: { signerName: `${CLIENT}-kubelet` },
        subject: [
          [ORGANIZATION, 'system:nodes'],
          [COMMON_NAME, 'root'],
        ],
      },
      'subject common name does not begin with system:node:',
    ],
  ])('%s', async (name, asked, message) => {
    expect((await ask({ name, ...asked })).status).toBe(201)
    expect(await decide(name, [APPROVED])).toBe(200)
    await expect
      .poll(async () => ((await read(name)).status['conditions'] as object[])[1])
      .toMatchObject({ type: 'Failed', status: 'True', reason: 'SignerValidationFailure', message })
    expect((await read(name)).status['certificate']).toBeUndefined()
  })
})

test('what is denied, or is for others to sign, is left alone', async () => {
  await ask({ name: 'denied' })
  await ask({ name: 'theirs', spec: { signerName: 'example.com/signer', usages: ['server auth'] } })
  expect(await decide('denied', [{ ...APPROVED, type: 'Denied' }])).toBe(200)
  expect(await decide('theirs', [APPROVED])).toBe(200)
  // What comes later is signed later.
  await ask({ name: 'last' })
  await decide('last', [APPROVED])
  await expect.poll(async () => (await read('last')).status['certificate']).toBeDefined()
  expect([await read('denied'), await read('theirs')].map(({ status }) => status['certificate'])).toEqual([
    undefined,
    undefined,
  ])
})

test('what nobody may ask for', async () => {
  const subject = [
    [ORGANIZATION, 'system:masters'],
    [COMMON_NAME, 'root'],
  ] as const
  const refusals = [
    await ask({ name: 'root', subject }),
    await ask({ name: 'old', spec: { signerName: 'kubernetes.io/legacy-unknown' } }),
    await ask({ name: 'odd', spec: { signerName: 'nobody', usages: [], expirationSeconds: 599, request: 'AAAA' } }),
  ]
  expect(refusals.map(({ status, body }) => [status, body.message])).toEqual([
    [
      403,
      'certificatesigningrequests.certificates.k8s.io "root" is forbidden: use of kubernetes.io/kube-apiserver-client signer with system:masters group is not allowed',
    ],
    [
      422,
      'CertificateSigningRequest.certificates.k8s.io "old" is invalid: spec.signerName: Invalid value: "kubernetes.io/legacy-unknown": the legacy signerName is not allowed via this API version',
    ],
    [
      422,
      `CertificateSigningRequest.certificates.k8s.io "odd" is invalid: [spec.request: Invalid value: "AAAA": PEM block type must be CERTIFICATE REQUEST, spec.usages: Required value, spec.signerName: Invalid value: "nobody": must be a fully qualified domain and path of the form 'example.com/signer-name', spec.expirationSeconds: Invalid value: 599: may not specify a duration less than 600 seconds (10 minutes)]`,
    ],
  ])
})

test('to approve and to sign are rights over a signer', async () => {
  await grant('requests', {
    resources: [
      'certificatesigningrequests',
      'certificatesigningrequests/approval',
      'certificatesigningrequests/status',
    ],
    verbs: ['create', 'get', 'update'],
  })
  await ask({ name: 'ours', spec: { signerName: 'example.com/signer' } }, TENANT)
  expect(await decide('ours', [APPROVED], TENANT)).toBe(
    'certificatesigningrequests.certificates.k8s.io "ours" is forbidden: user not permitted to approve requests with signerName "example.com/signer"',
  )
  await grant('approver', { resources: ['signers'], resourceNames: ['example.com/*'], verbs: ['approve'] })
  expect(await decide('ours', [APPROVED], TENANT)).toBe(200)
  const sign = async (certificate: string): Promise<unknown> => {
    const { metadata, status } = await read('ours')
    const body = { metadata, status: { ...status, certificate: Buffer.from(certificate).toString('base64') } }
    const answer = await api.request('PUT', `${REQUESTS}/ours/status`, { body, ...TENANT })
    return answer.status === 200 ? 200 : answer.body.message
  }
  expect(await sign(api.certificates.authority)).toBe(
    'certificatesigningrequests.certificates.k8s.io "ours" is forbidden: user not permitted to sign requests with signerName "example.com/signer"',
  )
  await grant('signer', { resources: ['signers'], resourceNames: ['example.com/signer'], verbs: ['sign'] })
  expect(await sign('no certificate')).toBe(
    'CertificateSigningRequest.certificates.k8s.io "ours" is invalid: status.certificate: Invalid value: "<certificate data>": must contain at least one CERTIFICATE PEM block',
  )
  expect(await sign(api.certificates.authority)).toBe(200)
  expect(await sign(api.certificates.server.certificate)).toBe(
    'CertificateSigningRequest.certificates.k8s.io "ours" is invalid: status.certificate: Forbidden: updates may not modify existing certificate content',
  )
})

test('decisions stay, and only one door makes them', async () => {
  await ask({ name: 'decided', spec: { signerName: 'example.com/signer' } })
  expect(await decide('decided', [APPROVED, { ...APPROVED, type: 'Denied' }])).toBe(
    'CertificateSigningRequest.certificates.k8s.io "decided" is invalid: status.conditions: Invalid value: "Denied": Approved and Denied conditions are mutually exclusive',
  )
  expect(await decide('decided', [{ ...APPROVED, status: 'False' }])).toBe(
    'CertificateSigningRequest.certificates.k8s.io "decided" is invalid: status.conditions[0].status: Unsupported value: "False": supported values: "True"',
  )
  expect(await decide('decided', [APPROVED])).toBe(200)
  expect(await decide('decided', [])).toBe(
    'CertificateSigningRequest.certificates.k8s.io "decided" is invalid: status.conditions: Forbidden: updates may not remove a condition of type "Approved"',
  )
  const { metadata } = await read('decided')
  const put = async (path: string, rest: object): Promise<unknown> => {
    const answer = await api.request('PUT', `${REQUESTS}/decided${path}`, { body: { metadata, ...rest } })
    return answer.status === 200
      ? answer.body.status.conditions.map(({ type }: { type: string }) => type)
      : answer.body.message
  }
  expect(await put('/status', { status: { conditions: [] } })).toContain(
    'may not remove a condition of type "Approved"',
  )
  expect(await put('', { spec: { request: 'AAAA', signerName: 'other.example/x' }, status: {} })).toEqual(['Approved'])
  const table = await api.request('GET', REQUESTS, {
    headers: { accept: 'application/json;as=Table;g=meta.k8s.io;v=v1' },
  })
  const rows = table.body.rows.map(({ cells }: { cells: string[] }) => [
    cells[0],
    cells[2],
    cells[3],
    cells[4],
    cells[5],
  ])
  expect(rows).toContainEqual(['decided', 'example.com/signer', 'kubernetes-admin', '<none>', 'Approved'])
  expect(rows).toContainEqual(['alice', CLIENT, 'kubernetes-admin', '60m', 'Approved,Issued'])
})
