/** A real API server in a directory that goes with it, as its clients within the process see it. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type RunningApiServer, startApiServer } from '@caisson/apiserver'
import { inProcessTransport, type Transport } from '@caisson/client'

export const ADMINISTRATOR = { username: 'admin', groups: ['system:masters', 'system:authenticated'] }

export interface TestServer extends AsyncDisposable {
  api: RunningApiServer
  /** A data directory's root: its objects and certificates are in it. */
  root: string
  connect(user?: typeof ADMINISTRATOR): Transport
}

export async function startTestServer(): Promise<TestServer> {
  await using stack = new AsyncDisposableStack()
  const root = mkdtempSync(join(tmpdir(), 'caisson-test-'))
  stack.defer(() => rmSync(root, { recursive: true }))
  const [directory, certificates] = [join(root, 'objects'), join(root, 'certificates')]
  const api = stack.use(await startApiServer({ directory, certificates, host: '127.0.0.1', port: 0 }))
  const owned = stack.move()
  return {
    api,
    root,
    connect: (user = ADMINISTRATOR) => inProcessTransport(api.server.connect(user)),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}
