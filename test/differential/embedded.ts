/** The embedded API server alone, without controllers, for comparing it with a kube-apiserver without controllers. */
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startApiServer } from '../../packages/apiserver/src/index.ts'

export interface EmbeddedApiServer extends AsyncDisposable {
  server: string
  token: string
  ca: string
}

export async function startEmbedded(): Promise<EmbeddedApiServer> {
  const work = mkdtempSync(join(tmpdir(), 'caisson-differential-'))
  const token = randomBytes(16).toString('hex')
  const running = await startApiServer({
    directory: join(work, 'objects'),
    certificates: join(work, 'certificates'),
    host: '127.0.0.1',
    port: 0,
    tokens: [{ token, user: { username: 'admin', uid: 'admin', groups: ['system:masters'] } }],
    // A real kube-apiserver has no opinion on Pods in namespaces without labels; ours is stricter on purpose.
    podSecurity: { unlabelled: 'privileged' },
  })
  return {
    server: running.url,
    token,
    ca: running.certificates.authority,
    async [Symbol.asyncDispose]() {
      await running[Symbol.asyncDispose]()
      rmSync(work, { recursive: true, force: true })
    },
  }
}
