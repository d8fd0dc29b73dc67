import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { UserInfo } from '@caisson/api'
import { createClient, type InProcessServer, inProcessTransport } from '@caisson/client'
import { connectCluster, type TestCluster } from './test-cluster.ts'

/** What is used of @caisson/apiserver, which only test files may import: they hand it in. */
export interface EmbeddedServer {
  startApiServer(options: {
    directory: string
    certificates: string
    host: string
    port: number
  }): Promise<AsyncDisposable & { server: { connect(user: UserInfo): InProcessServer } }>
  componentUsers: { sandboxController: UserInfo }
}

const ADMINISTRATOR: UserInfo = { username: 'kubernetes-admin', groups: ['system:masters', 'system:authenticated'] }

/**
 * An API server of its own, in this process, on a disk of its own; or, where `CAISSON_TEST_KUBECONFIG` names one, that other
 * one, which has to have no controllers either: `make test-cluster` runs the tests of the controllers against both.
 */
export async function startEmbeddedCluster({ startApiServer, componentUsers }: EmbeddedServer): Promise<TestCluster> {
  const other = process.env['CAISSON_TEST_KUBECONFIG']
  if (other) return await connectCluster(other)
  const directory = mkdtempSync(join(tmpdir(), 'controllers-'))
  const running = await startApiServer({
    directory: join(directory, 'state'),
    certificates: join(directory, 'pki'),
    host: '127.0.0.1',
    port: 0,
  })
  return {
    client: createClient(inProcessTransport(running.server.connect(ADMINISTRATOR))),
    // As in the embedded cluster: with the rights that the controllers really have.
    transport: inProcessTransport(running.server.connect(componentUsers.sandboxController)),
    async [Symbol.asyncDispose]() {
      await running[Symbol.asyncDispose]()
      rmSync(directory, { recursive: true })
    },
  }
}
