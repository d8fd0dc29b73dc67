import { PATCHES, post, type Writer } from './requests.ts'
import type { Request } from './script.ts'

/** Of which YAML's versions make different values. */
const YAML_SCALARS = [
  'yes',
  'y',
  'Off',
  '"on"',
  '~',
  '010',
  '0o10',
  '0b1',
  '1_0',
  '1:30',
  '2026-01-01',
  '.5',
  '1.',
  '0x',
  '!!str 1',
]

/** Requests that are wrong before any object is looked at. */
export function oddRequests({ add }: Writer): void {
  const path = '/api/v1/namespaces/one/configmaps'
  const odd: Array<[string, Request]> = [
    ['unknown path', { method: 'GET', path: '/nothing' }],
    ['unknown group', { method: 'GET', path: '/apis/nothing.example.com/v1/things' }],
    ['unknown version', { method: 'GET', path: '/apis/rbac.authorization.k8s.io/v9/roles' }],
    ['unknown resource', { method: 'GET', path: '/api/v1/namespaces/one/things' }],
    ['unknown subresource', { method: 'GET', path: `${path}/l1/bogus` }],
    ...['namespaces', 'namespaces/two', 'nodes', 'nodes/none', 'nodes/none/proxy/pods', 'persistentvolumes'].map(
      (below): [string, Request] => [
        `what belongs to no namespace, below one: ${below}`,
        { method: 'GET', path: `/api/v1/namespaces/one/${below}` },
      ],
    ),
    ['an exec of a version that is not', { method: 'GET', path: '/api/v9/namespaces/one/pods/none/exec' }],
    ['post to an item', post(`${path}/l1`, {})],
    ['put to a collection', { method: 'PUT', path, body: {} }],
    ['patch of a collection', { method: 'PATCH', path, body: {}, contentType: PATCHES.merge }],
    ['broken JSON', { method: 'POST', path, body: '{"apiVersion": "v1", ' }],
    ['broken YAML', { method: 'POST', path, body: 'a: [b', contentType: 'application/yaml' }],
    [
      'YAML',
      {
        method: 'POST',
        path,
        body: 'apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: from-yaml\ndata:\n  a: "1"\n',
        contentType: 'application/yaml',
      },
    ],
    ['a content type that nobody reads', { method: 'POST', path, body: 'x', contentType: 'text/plain' }],
    ['an answer that nobody writes', { method: 'GET', path, accept: 'text/html' }],
    ['an empty body', { method: 'POST', path, body: '' }],
    [
      'duplicate fields',
      {
        method: 'POST',
        path,
        body: '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"twice","name":"twice"}}',
        query: { fieldValidation: 'Strict' },
      },
    ],
    [
      'duplicate fields, warned',
      {
        method: 'POST',
        path,
        body: '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"twice","name":"twice"}}',
        query: { fieldValidation: 'Warn', dryRun: 'All' },
      },
    ],
    [
      'bogus field validation',
      post(path, { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'x' } }, { fieldValidation: 'Bogus' }),
    ],
    [
      'bogus dry run',
      post(path, { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'x' } }, { dryRun: 'Bogus' }),
    ],
    [
      'a field manager with bad letters',
      post(
        path,
        { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'x' } },
        { fieldManager: 'a\nb', dryRun: 'All' },
      ),
    ],
    [
      'a field manager too long',
      post(
        path,
        { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'x' } },
        { fieldManager: 'x'.repeat(200), dryRun: 'All' },
      ),
    ],
    ['generateName', post(path, { apiVersion: 'v1', kind: 'ConfigMap', metadata: { generateName: 'gen-a-' } })],
    ['neither name nor generateName', post(path, { apiVersion: 'v1', kind: 'ConfigMap', metadata: {} })],
    [
      'a namespace that is not there',
      post('/api/v1/namespaces/missing/configmaps', { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'x' } }),
    ],
    [
      'a body over the limit',
      post(path, { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'x' }, data: { a: 'x'.repeat(3_200_000) } }),
    ],
    [
      'a ConfigMap over its own limit',
      post(
        path,
        { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'x' }, data: { a: 'x'.repeat(1_100_000) } },
        { dryRun: 'All' },
      ),
    ],
    [
      'prototype pollution',
      {
        method: 'POST',
        path,
        body: '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"proto","annotations":{"__proto__":"x"}},"data":{"__proto__":"y"}}',
      },
    ],
    [
      'can I',
      post('/apis/authorization.k8s.io/v1/selfsubjectaccessreviews', {
        apiVersion: 'authorization.k8s.io/v1',
        kind: 'SelfSubjectAccessReview',
        spec: { resourceAttributes: { verb: 'get', resource: 'pods' } },
      }),
    ],
    [
      'can they',
      post('/apis/authorization.k8s.io/v1/subjectaccessreviews', {
        apiVersion: 'authorization.k8s.io/v1',
        kind: 'SubjectAccessReview',
        spec: { user: 'nobody', resourceAttributes: { verb: 'get', resource: 'pods', namespace: 'one' } },
      }),
    ],
    [
      'who am I',
      post('/apis/authentication.k8s.io/v1/selfsubjectreviews', {
        apiVersion: 'authentication.k8s.io/v1',
        kind: 'SelfSubjectReview',
      }),
    ],
    ['impersonated, forbidden', { method: 'GET', path, headers: { 'impersonate-user': 'nobody' } }],
    [
      'impersonated, forbidden cluster-wide',
      { method: 'GET', path: '/api/v1/nodes', headers: { 'impersonate-user': 'nobody', 'impersonate-group': 'some' } },
    ],
    ['impersonated group only', { method: 'GET', path, headers: { 'impersonate-group': 'some' } }],
    ['a token that is none', { method: 'GET', path, headers: { authorization: 'Bearer nonsense' } }],
    ['no credentials', { method: 'GET', path, headers: { authorization: '' } }],
    ['the version', { method: 'GET', path: '/healthz' }],
    ['ready', { method: 'GET', path: '/readyz' }],
    [
      'a token request',
      post('/api/v1/namespaces/one/serviceaccounts/default/token', {
        apiVersion: 'authentication.k8s.io/v1',
        kind: 'TokenRequest',
        spec: { expirationSeconds: 600 },
      }),
    ],
    [
      'a token request too short',
      post('/api/v1/namespaces/one/serviceaccounts/default/token', {
        apiVersion: 'authentication.k8s.io/v1',
        kind: 'TokenRequest',
        spec: { expirationSeconds: 1 },
      }),
    ],
    [
      'a token request for nobody',
      post('/api/v1/namespaces/one/serviceaccounts/nobody/token', {
        apiVersion: 'authentication.k8s.io/v1',
        kind: 'TokenRequest',
        spec: {},
      }),
    ],
    [
      'a privileged pod',
      post('/api/v1/namespaces/one/pods', {
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { name: 'class' },
        spec: { runtimeClassName: 'missing', containers: [{ name: 'a', image: 'x' }] },
      }),
    ],
    [
      'a priority that is not there',
      post('/api/v1/namespaces/one/pods', {
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { name: 'prio' },
        spec: { priorityClassName: 'missing', containers: [{ name: 'a', image: 'x' }] },
      }),
    ],
    [
      'an account that is not there',
      post('/api/v1/namespaces/one/pods', {
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { name: 'acc' },
        spec: { serviceAccountName: 'missing', containers: [{ name: 'a', image: 'x' }] },
      }),
    ],
    ['deleting a namespace that stays', { method: 'DELETE', path: '/api/v1/namespaces/default' }],
  ]
  for (const [label, request] of odd) add(label, request)
  for (const scalar of YAML_SCALARS) {
    add(`YAML with ${scalar}`, {
      method: 'POST',
      path: '/api/v1/namespaces/one/pods',
      body: `metadata:\n  name: scalars\nspec:\n  hostNetwork: no\n  activeDeadlineSeconds: 0400\n  containers: [{name: main, image: busybox, workingDir: ${scalar}}]\n`,
      contentType: 'application/yaml',
      query: { dryRun: 'All' },
    })
  }
}
