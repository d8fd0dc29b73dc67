import { expect, test } from 'vitest'
import { isLocalHost } from './local-host.ts'

test.each<[host: string | undefined, local: boolean]>([
  [undefined, true],
  ['127.0.0.1:8080', true],
  ['10.1.2.3', true],
  ['[::1]:8080', true],
  ['localhost:8080', true],
  ['LOCALHOST.:8080', true],
  ['a.localhost', true],
  ['box', true],
  ['sandbox-router-svc.agent-sandbox-system.svc:8080', true],
  ['sandbox-router-svc.agent-sandbox-system.svc.cluster.local', true],
  ['page.test:8080', false],
  ['127.0.0.1.page.test', false],
  ['localhost.page.test:8080', false],
  ['svc.page.test', false],
  ['[::1].page.test', false],
  ['page.test@localhost', false],
])('the host %s', (host, local) => {
  expect(isLocalHost(host)).toBe(local)
})
