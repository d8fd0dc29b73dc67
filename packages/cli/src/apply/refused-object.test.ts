import type { Status } from '@caisson/api'
import { ApiError } from '@caisson/client'
import { expect, test } from 'vitest'
import { refusedObject } from './refused-object.ts'

const manifest = {
  object: { apiVersion: 'agents.x-k8s.io/v1beta1', kind: 'Sandbox', metadata: { name: 'box' } },
  place: 'app.yaml, document 2 (Sandbox box)',
}

function refused(status: Omit<Status, 'kind' | 'apiVersion' | 'metadata'>): unknown {
  const error = new ApiError({ apiVersion: 'v1', kind: 'Status', metadata: {}, ...status })
  return refusedObject(error, manifest, 'team')
}

const UNTYPED = 'failed to create typed patch object (/box; agents.x-k8s.io/v1beta1, Kind=Sandbox): '

test.each([
  [
    '.spec.podTemplat: field not declared in schema',
    "spec.podTemplat is no field of Sandbox: 'kubectl explain sandbox.spec' says what there is",
  ],
  ['.spc: field not declared in schema', "spc is no field of Sandbox: 'kubectl explain sandbox' says what there is"],
  [
    '.spec.containers[name="a]\\".b"].comand: field not declared in schema',
    'spec.containers[name="a]\\".b"].comand is no field of Sandbox: \'kubectl explain sandbox.spec.containers\' says what there is',
  ],
  [
    'errors:\n  .spec.a: expected list, got &{7}\n  .spec.b: expected string, got &value.valueUnstructured{Value:1}\n  .spec.c: expected numeric (int or float), got string',
    "spec.a takes a list, not 7; spec.b takes a string, not 1; spec.c takes a number, not a string: 'kubectl explain sandbox.spec.a' says what there is",
  ],
  [
    '.spec.ports: element 0: associative list with keys has an element that omits key field "port"',
    'spec.ports: element 0: associative list with keys has an element that omits key field "port": \'kubectl explain sandbox\' says what there is',
  ],
])('says of %j which field it is, and how to find the right one', (said, expected) => {
  expect(refused({ status: 'Failure', code: 500, message: `${UNTYPED}${said}` })).toMatchObject({
    code: 'usage',
    message: `${manifest.place}: ${expected}`,
  })
})

test.each([
  [422, 'usage', 'Sandbox "box" is invalid: spec.x: Required value', 'spec.x: Required value'],
  [422, 'usage', 'Sandbox.agents.x-k8s.io "box" is invalid: spec.x: Required value', 'spec.x: Required value'],
  [403, 'not-permitted', 'sandboxes "box" is forbidden: no', 'sandboxes "box" is forbidden: no'],
  [400, 'failed', 'no', 'no'],
] as const)('an answer of %d is %s', (code, kind, message, said) => {
  expect(refused({ status: 'Failure', code, message })).toMatchObject({
    code: kind,
    message: `${manifest.place}: ${said}`,
  })
})

test('says how to make a namespace that is missing', () => {
  const status = { status: 'Failure' as const, code: 404, reason: 'NotFound', details: { kind: 'namespaces' } }
  expect(refused(status)).toMatchObject({
    code: 'not-found',
    message: `${manifest.place}: there is no namespace team: 'kubectl create namespace team' makes it`,
  })
})

test('leaves alone what no server has said', () => {
  const error = new Error('connection lost')
  expect(refusedObject(error, manifest, 'team')).toBe(error)
})
