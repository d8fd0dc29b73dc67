/** The router's process, with a real API server to which it is introduced. */
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { setTimeout as delay } from 'node:timers/promises'
import { CONTROLLER_NAMESPACE } from '@caisson/api'
import { createClient, resources } from '@caisson/client'
import { createSystemProcesses } from '@caisson/kubelet'
import { expect, onTestFinished, test } from 'vitest'
import { startTestServer } from '../testing/api-server.ts'
import { type KeptRouter, keepRouter } from './router-process.ts'
import { ROUTER } from './system-pods.ts'

const IDLE_MS = 50

async function startKeeping(errors: string[]): Promise<KeptRouter> {
  const stack = new AsyncDisposableStack()
  onTestFinished(() => stack.disposeAsync())
  const [program] = process.argv.splice(1, 1, join(import.meta.dirname, '../start.mjs'))
  stack.defer(() => void process.argv.splice(1, 1, program ?? ''))
  const { api, root, connect } = stack.use(await startTestServer())
  const at = (name: string): string => join(root, name)
  const client = createClient(connect())
  const namespace = CONTROLLER_NAMESPACE
  await client.create(resources.namespaces, { metadata: { name: namespace } })
  await client.create(resources.serviceAccounts, { metadata: { name: ROUTER } }, { namespace })
  return stack.use(
    keepRouter({
      processes: createSystemProcesses({ directory: at('logs'), now: Date.now }),
      directory: at('router'),
      client,
      server: api.url,
      authority: api.certificates.authority,
      idleMs: IDLE_MS,
      onError: (error, where) => errors.push(`${where}: ${String(error)}`),
    }),
  )
}

test('who connects while an idle router ends is served by the next one', async () => {
  const errors: string[] = []
  const router = await startKeeping(errors)
  for (const lateMs of [0, 1, 2, 4, 8, 16, 32]) {
    const connection = await router.connectPod('10.0.0.1')
    connection.end('GET /healthz HTTP/1.1\r\nHost: router\r\nConnection: close\r\n\r\n')
    expect(await text(connection)).toMatch(/^HTTP\/1\.1 200 /)
    await delay(IDLE_MS + lateMs)
  }
  expect(errors).toEqual([])
}, 60_000)
