/** What commands leave behind on another cluster where the connection to it breaks. */
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { type ScriptedServer, sendJson, startScriptedServer } from '../../client/src/testing/scripted-server.ts'
import { createTestAuthority } from '../../client/src/testing/test-certificates.ts'

const CAISSON = join(import.meta.dirname, '../../../bin/caisson')
const directory = mkdtempSync(join(tmpdir(), 'caisson-take-away-'))
let server: ScriptedServer
/** Of a deletion, unless its answer is lost. */
let deleted: number[]

/** A cluster that says what `run` asks of it, makes what it is told to, and then loses its connection. */
beforeAll(async () => {
  await using authority = await createTestAuthority()
  const certificate = await authority.issue('server', ['IP:127.0.0.1'])
  server = await startScriptedServer({
    authority,
    certificate,
    script({ method, url, body, socket }, response) {
      if (url === '/version') return sendJson(response, 200, { gitVersion: 'v1.34.0' })
      if (method === 'GET') return sendJson(response, 200, { apiVersion: 'v1', kind: 'Any', metadata: {} })
      if (method === 'PATCH') return sendJson(response, 200, JSON.parse(body))
      const code = method === 'DELETE' ? deleted.shift() : undefined
      if (code === undefined) return void socket.destroy()
      sendJson(response, code, { kind: 'Status', status: 'Failure', message: 'not today', code })
    },
  })
  const cluster = {
    server: server.url,
    'certificate-authority-data': Buffer.from(authority.certificate).toString('base64'),
  }
  writeFileSync(
    join(directory, 'config'),
    JSON.stringify({
      clusters: [{ name: 'there', cluster }],
      contexts: [{ name: 'there', context: { cluster: 'there', user: 'me' } }],
      users: [{ name: 'me', user: {} }],
    }),
  )
})
afterAll(async () => {
  await server[Symbol.asyncDispose]()
  rmSync(directory, { recursive: true })
})
beforeEach(() => {
  server.requests = []
  deleted = []
})

async function caisson(...words: string[]): Promise<{ code: number | null; stderr: string; writes: string[] }> {
  const env = { ...process.env, KUBECONFIG: join(directory, 'config'), CAISSON_DATA_DIR: join(directory, 'data') }
  const { code, stderr } = await new Promise<{ code: number | null; stderr: string }>((resolve) => {
    const child = execFile(CAISSON, words, { env }, (_error, _stdout, stderr) =>
      resolve({ code: child.exitCode, stderr }),
    )
  })
  const writes = server.requests.filter(({ method }) => method === 'POST' || method === 'DELETE')
  const place = (url: string) => (url.split('?')[0] ?? '').replace(/-[0-9a-f]{8}$/, '-NEW')
  return { code, stderr, writes: writes.map(({ method, url }) => `${method} ${place(url)}`) }
}

const SANDBOXES = '/apis/agents.x-k8s.io/v1beta1/namespaces/default/sandboxes'
const CLAIMS = '/apis/extensions.agents.x-k8s.io/v1beta1/namespaces/default/sandboxclaims'
const RUN = ['run', '--context', 'there', '--image', 'example.com/main']
const CLAIM = ['claim', '--context', 'there']

test.each([
  ['a sandbox', [...RUN, '--', 'true'], [`POST ${SANDBOXES}`, `DELETE ${SANDBOXES}/run-NEW`]],
  ['one that would stay', [...RUN, '--detach', '--', 'true'], [`POST ${SANDBOXES}`, `DELETE ${SANDBOXES}/run-NEW`]],
  ['a claim', [...CLAIM, 'pool', '--', 'true'], [`POST ${CLAIMS}`, `DELETE ${CLAIMS}/claim-NEW`]],
])('%s whose making was not answered is taken away, however often that has to be tried', async (_, words, expected) => {
  deleted = [503, 200]
  const { code, stderr, writes } = await caisson(...words)
  expect({ code, writes }).toEqual({ code: 69, writes: [...expected, expected[1]] })
  expect(stderr).toMatch(/^caisson: .*the connection to the server broke.*\n$/)
})

test('one that its user has named may be another one, and what cannot be removed stays: both are told', async () => {
  expect(await caisson(...CLAIM, '--name', 'mine', 'pool', '--', 'true')).toEqual({
    code: 69,
    stderr: expect.stringMatching(
      /^caisson: mine may be there: 'kubectl delete sandboxclaim mine -n default' removes it\ncaisson: the connection to the server broke/,
    ),
    writes: [`POST ${CLAIMS}`],
  })
  server.requests = []
  deleted = [403]
  expect(await caisson(...RUN, '--', 'true')).toEqual({
    code: 69,
    stderr: expect.stringMatching(
      /^caisson: run-[0-9a-f]{8} could not be removed \(not today\): 'caisson rm run-[0-9a-f]{8} -n default' removes it\n/,
    ),
    writes: [`POST ${SANDBOXES}`, `DELETE ${SANDBOXES}/run-NEW`],
  })
})
