/** What the router makes of sandboxes that sleep, and of those that have nothing to serve them with. */
import { once } from 'node:events'
import { request as httpRequest, type IncomingMessage } from 'node:http'
import { connect as connectHttp2, type IncomingHttpHeaders } from 'node:http2'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Cluster, findKubectl, run, startCluster } from './fixture.ts'
import { forwardPort } from './forward-port.ts'

const SLEEP_SECONDS = 2

/** An image with two programs and nothing else: no shell, no tools, no files of passwords. */
const BARE_IMAGE = `
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/root/bin" "$work/image"
cp "$1" "$work/root/bin/sleep"
cp "$1" "$work/root/bin/httpd"
chmod 755 "$work/root/bin/"*
tar --sort=name --owner=0 --group=0 --numeric-owner --mtime=@0 -C "$work/root" -cf "$work/image/layer.tar" .
layer=$(sha256sum "$work/image/layer.tar" | cut -d' ' -f1)
case $(uname -m) in x86_64) arch=amd64 ;; aarch64) arch=arm64 ;; esac
printf '{"architecture":"%s","os":"linux","config":{"Env":["PATH=/bin"]},"rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}' "$arch" "$layer" >"$work/image/config.json"
printf '[{"Config":"config.json","RepoTags":["bare:v1"],"Layers":["layer.tar"]}]' >"$work/image/manifest.json"
tar -C "$work/image" -cf "$2" manifest.json config.json layer.tar
`

function sandbox(name: string, container: object, more: object = {}): object {
  return {
    apiVersion: 'agents.x-k8s.io/v1beta1',
    kind: 'Sandbox',
    metadata: { name },
    spec: { podTemplate: { spec: { containers: [{ name: 'main', ...container }] } }, ...more },
  }
}

describe.runIf(findKubectl())('the router', () => {
  let cluster: Cluster
  let url: string
  const stack = new AsyncDisposableStack()
  beforeAll(async () => {
    cluster = stack.use(await startCluster())
    const archive = join(cluster.dataDirectory, 'bare.tar')
    const busybox = join(cluster.env['CAISSON_TOOLS_DIR'] ?? '', 'bin/busybox')
    const made = await run('bash', ['-c', BARE_IMAGE, 'bash', busybox, archive])
    expect([made.code, made.stderr]).toEqual([0, ''])
    await cluster.mustCaisson(['image', 'import', archive])
    const counter = ['sh', '-c', 'echo kept > /tmp/kept; while :; do sleep 1000; done']
    const items = [
      sandbox(
        'sleeper',
        { image: 'caisson.dev/host', command: counter, workingDir: '/tmp' },
        {
          suspension: { memory: 'Keep' },
          idleSuspension: { afterSeconds: SLEEP_SECONDS },
        },
      ),
      sandbox('bare', { image: 'bare:v1', command: ['/bin/sleep', '100000'] }),
      sandbox('bare-web', { image: 'bare:v1', command: ['/bin/httpd', '-f', '-p', '8888', '-h', '/bin'] }),
    ]
    await cluster.mustKubectl(['apply', '-f', '-'], {
      input: JSON.stringify({ apiVersion: 'v1', kind: 'List', items }),
    })
    await cluster.mustKubectl(['wait', '--for=condition=Ready', 'sandbox/bare', 'sandbox/bare-web', '--timeout=90s'])
    const args = ['-n', 'agent-sandbox-system', 'port-forward', 'svc/sandbox-router-svc', ':8080']
    url = stack.use(await forwardPort(args, cluster.env)).url
  })
  afterAll(() => stack.disposeAsync())

  async function ask(
    path: string,
    id: string,
    { method = 'GET', port = '8888', body }: { method?: string; port?: string; body?: string } = {},
  ): Promise<[status: number | undefined, body: string]> {
    const headers = { 'X-Sandbox-ID': id, 'X-Sandbox-Port': port }
    const request = httpRequest(`${url}/`, { path, method, headers, agent: false })
    request.end(body)
    const [response] = (await once(request, 'response')) as [IncomingMessage]
    return [response.statusCode, await text(response)]
  }

  test('wakes a sandbox that sleeps, and answers from what it was', async () => {
    const asleep = ['wait', '--for=condition=Suspended', 'sandbox/sleeper', '--timeout=60s']
    await cluster.mustKubectl(asleep)
    expect(await ask('/download/kept', 'sleeper')).toEqual([200, 'kept\n'])
    await cluster.mustKubectl(asleep)
    const body = JSON.stringify({ command: 'cat kept' })
    expect(await ask('/execute', 'sleeper', { method: 'POST', body })).toEqual([
      200,
      '{"stdout":"kept\\n","stderr":"","exit_code":0}',
    ])
  })

  const REASON =
    'the image of bare has no /bin/sh, which files and processes are served with: use an image that has one, or one that serves them itself'

  test.each<[what: string, ...Parameters<typeof ask>]>([
    ['a command', '/execute', 'bare', { method: 'POST', body: '{"command":"true"}' }],
    ['a file', '/download/x', 'bare'],
    ['a listing', '/list/.', 'bare'],
    ['an upload', '/v1/files/x', 'bare', { method: 'PUT', port: '8080', body: 'content' }],
    ['a deletion', '/v1/files/x', 'bare', { method: 'DELETE', port: '8080' }],
    ['metadata', '/v1/metadata', 'bare', { port: '8080' }],
  ])('says why an image without a shell does not serve %s', async (_what, ...asked) => {
    const [status, body] = await ask(...asked)
    expect([status, JSON.parse(body)]).toEqual([501, { detail: REASON }])
  })

  test('says so to gRPC too', async () => {
    const session = connectHttp2(url)
    stack.defer(() => session.destroy())
    const stream = session.request({
      ':method': 'POST',
      ':path': '/process.v1.ProcessService/Execute',
      'content-type': 'application/grpc',
      'x-sandbox-id': 'bare',
      'x-sandbox-port': '9090',
    })
    // One message: a configuration with the one word `true`.
    stream.end(Buffer.from([0, 0, 0, 0, 8, 0x0a, 6, 0x0a, 4, ...Buffer.from('true')]))
    const [headers] = (await once(stream, 'response')) as [IncomingHttpHeaders]
    expect([headers['grpc-status'], decodeURIComponent(String(headers['grpc-message']))]).toEqual(['9', REASON])
  })

  test('carries to a server in such an image as to any', async () => {
    const [status, body] = await ask('/sleep', 'bare-web')
    expect([status, body.length > 100_000]).toEqual([200, true])
    expect((await ask('/none', 'bare-web'))[0]).toBe(404)
    expect(await ask('/v1/health', 'bare', { port: '8080' })).toEqual([200, expect.stringContaining('"status":"ok"')])
  })
})
