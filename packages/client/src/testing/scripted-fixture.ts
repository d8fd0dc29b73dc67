/** What most tests of connections begin with: certificates, servers that follow a script, and transports to them. */
import { afterAll, beforeAll, onTestFinished } from 'vitest'
import type { ClusterConnection } from '../cluster-connection.ts'
import { createHttpTransport, type HttpTransportOptions } from '../http-transport.ts'
import type { Transport } from '../transport.ts'
import { type Script, type ScriptedServer, startScriptedServer } from './scripted-server.ts'
import { createTestAuthority, type IssuedCertificate, type TestAuthority } from './test-certificates.ts'

export interface ScriptedFixture {
  authority: TestAuthority
  /** A server until the end of the test. */
  serve(script?: Script): Promise<ScriptedServer>
  /** A transport until the end of the test. */
  open(connection: ClusterConnection, options?: HttpTransportOptions): Transport
}

/** To be called where tests are described. Its servers are `127.0.0.1` and `api.test`. */
export function useScriptedServers(): ScriptedFixture {
  let authority: TestAuthority
  let certificate: IssuedCertificate
  beforeAll(async () => {
    authority = await createTestAuthority()
    certificate = await authority.issue('server', ['IP:127.0.0.1', 'DNS:api.test'])
  })
  afterAll(async () => {
    await authority[Symbol.asyncDispose]()
  })
  return {
    get authority() {
      return authority
    },
    async serve(script = () => {}) {
      const server = await startScriptedServer({ authority, certificate, script })
      onTestFinished(() => server[Symbol.asyncDispose]())
      return server
    },
    open(connection, options = {}) {
      const transport = createHttpTransport(connection, { userAgent: 'test', ...options })
      onTestFinished(() => transport[Symbol.asyncDispose]())
      return transport
    },
  }
}
