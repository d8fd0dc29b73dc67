import { expect, test } from 'vitest'
import { isReservedAnnotation, isReservedLabel, normalizeCreatedBy } from './keys.ts'

test.each([
  ['agents.x-k8s.io/sandbox-name-hash', true, true],
  ['agents.x-k8s.io/anything', true, true],
  ['extensions.agents.x-k8s.io/anything', true, true],
  ['opentelemetry.io/trace-context', false, true],
  ['agents.x-k8s.io.example.com/anything', false, false],
  ['example.com/agents.x-k8s.io', false, false],
  ['app', false, false],
])('%s: reserved as label %s, as annotation %s', (key, label, annotation) => {
  expect([isReservedLabel(key), isReservedAnnotation(key)]).toEqual([label, annotation])
})

test.each([
  ['go-client', 'go-client'],
  ['python-client', 'python-client'],
  ['controller', 'controller'],
  ['anything else', 'unknown'],
  ['constructor', 'unknown'],
])('created-by %s becomes %s', (given, normal) => {
  expect(normalizeCreatedBy(given)).toBe(normal)
})
