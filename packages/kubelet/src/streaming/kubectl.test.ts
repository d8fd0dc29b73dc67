import { execFile, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createHostProcesses, type HostProcesses } from '../testing/host-processes.ts'
import { type KubectlServer, startKubectlServer } from '../testing/kubectl-server.ts'
import { serveOnePod } from '../testing/served-pod.ts'
import { startTcpServer } from '../testing/tcp-server.ts'

const installed = spawnSync('kubectl', ['version', '--client']).status === 0

let directory: string
let runtime: HostProcesses
let server: KubectlServer
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'caisson-kubectl-'))
  const path = join(directory, '0.log')
  await writeFile(path, '2026-01-01T00:00:00.000000001Z stdout F one\n2026-01-01T00:00:00.000000002Z stderr F two\n')
  runtime = createHostProcesses()
  server = await startKubectlServer(
    serveOnePod(runtime, {
      log: () => ({ path, writing: () => false, onStopped: () => ({ [Symbol.dispose]() {} }) }),
    }),
  )
})
afterAll(async () => {
  await server[Symbol.asyncDispose]()
  await rm(directory, { recursive: true })
})

interface Outcome {
  code: number
  stdout: string
  stderr: string
}

function kubectl(
  args: readonly string[],
  options: { input?: string; env?: Record<string, string> } = {},
): Promise<Outcome> {
  return new Promise((resolve) => {
    const child = execFile(
      'kubectl',
      ['--server', server.url, '--kubeconfig', '/dev/null', '--cache-dir', directory, ...args],
      { env: { ...process.env, ...options.env }, maxBuffer: 64 * 1024 * 1024 },
      (_error, stdout, stderr) => resolve({ code: child.exitCode ?? -1, stdout, stderr }),
    )
    child.stdin?.end(options.input ?? '')
  })
}

describe.skipIf(!installed).each([
  ['WebSocket', 'true', 'v5.channel.k8s.io'],
  ['SPDY', 'false', 'SPDY/3.1'],
])('kubectl over %s', (_name, webSockets, upgrade) => {
  const env = { KUBECTL_REMOTE_COMMAND_WEBSOCKETS: webSockets, KUBECTL_PORT_FORWARD_WEBSOCKETS: webSockets }

  test('exec passes output and exit code on', async () => {
    server.upgrades.length = 0
    expect(await kubectl(['exec', 'web', '--', 'sh', '-c', 'echo out; echo err >&2; exit 3'], { env })).toEqual({
      code: 3,
      stdout: 'out\n',
      stderr: 'err\ncommand terminated with exit code 3\n',
    })
    expect(server.upgrades).toEqual([`${upgrade} /exec/default/web/main`])
  })

  test('exec -i passes input on, and its end', async () => {
    const input = 'x'.repeat(3_000_000)
    expect(await kubectl(['exec', '-i', 'web', '--', 'sh', '-c', 'cat; echo end'], { env, input })).toEqual({
      code: 0,
      stdout: `${input}end\n`,
      stderr: '',
    })
  })

  test('a command that does not exist', async () => {
    expect(await kubectl(['exec', 'web', '--', '/nonexistent'], { env })).toEqual({
      code: 1,
      stdout: '',
      stderr: 'error: Internal error occurred: error executing command in container: spawn /nonexistent ENOENT\n',
    })
  })

  test('attach -i', async () => {
    const { code, stdout } = await kubectl(['attach', '-i', 'web', '--quiet'], { env, input: 'to the container' })
    expect({ code, stdout }).toEqual({ code: 0, stdout: 'to the container' })
  })

  test('port-forward serves many connections at once', async () => {
    await using target = await startTcpServer((socket) => {
      socket.once('data', (data) => {
        socket.end(
          `HTTP/1.1 200 OK\r\nContent-Length: 9\r\nConnection: close\r\n\r\n${/GET \/(\S+)/.exec(data.toString())?.[1]?.padEnd(9)}`,
        )
      })
    })
    server.upgrades.length = 0
    const forward = spawn(
      'kubectl',
      ['--server', server.url, '--kubeconfig', '/dev/null', 'port-forward', 'web', `:${target.port}`],
      { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'ignore'] },
    )
    const exited = once(forward, 'exit')
    try {
      // Its output must be read to the end: kubectl does not survive a closed pipe.
      const port = await new Promise<string>((resolve) => {
        forward.stdout.on('data', (chunk: Buffer) => {
          const announced = /127\.0\.0\.1:(\d+)/.exec(chunk.toString())?.[1]
          if (announced !== undefined) resolve(announced)
        })
      })
      const answers = await Promise.all(
        Array.from({ length: 20 }, async (_, index) => await (await fetch(`http://127.0.0.1:${port}/${index}`)).text()),
      )
      expect(answers).toEqual(Array.from({ length: 20 }, (_, index) => String(index).padEnd(9)))
    } finally {
      forward.kill()
      await exited
    }
    const expected = webSockets === 'true' ? 'SPDY/3.1+portforward.k8s.io' : 'SPDY/3.1'
    expect(server.upgrades).toEqual([`${expected} /portForward/default/web`])
  })

  test('logs', async () => {
    expect(await kubectl(['logs', 'web', '--follow', '--timestamps', '--tail=1'], { env })).toEqual({
      code: 0,
      stdout: '2026-01-01T00:00:00.000000002Z two\n',
      stderr: '',
    })
  })
})
