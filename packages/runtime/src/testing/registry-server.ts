/** For tests: a real registry on a loopback port, with a directory and, where asked for, a certificate and a user. */
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { promisify } from 'node:util'
import { installTools } from '../tools/install-tools.ts'
import { defaultToolsDirectory } from '../tools/tools.ts'

export interface RegistryServer extends AsyncDisposable {
  /** `127.0.0.1:PORT`. */
  host: string
  /** Of its certificate, which vouches for itself; undefined without TLS. */
  caFile: string | undefined
  stop(): Promise<void>
}

/** Whom a registry with `auth` lets in. */
export const REGISTRY_USER = { username: 'ali', password: 'open sesame' }
const PASSWORD_FILE = 'ali:$2b$04$XMl3wNs.icw5vcOdRub6POan8RC7Qz9U1i2caB1xLcc/at7CZpjB6\n'

export async function startRegistry(options: { tls?: boolean; auth?: boolean } = {}): Promise<RegistryServer> {
  const tools = await installTools(defaultToolsDirectory(), { tools: ['docker-registry'] })
  const directory = await mkdtemp(join(tmpdir(), 'caisson-registry-'))
  await mkdir(join(directory, 'data'))
  const host = `127.0.0.1:${await freePort()}`
  const [certificate, key] = [join(directory, 'certificate.pem'), join(directory, 'key.pem')]
  if (options.tls) {
    const names = 'subjectAltName=IP:127.0.0.1,DNS:localhost'
    const request = [
      'req',
      '-x509',
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:prime256v1',
      '-nodes',
      '-days',
      '2',
    ]
    await promisify(execFile)('openssl', [
      ...request,
      '-keyout',
      key,
      '-out',
      certificate,
      '-subj',
      '/CN=registry',
      '-addext',
      names,
    ])
  }
  await writeFile(join(directory, 'passwords'), PASSWORD_FILE)
  const config = {
    version: '0.1',
    log: { level: 'info', accesslog: { disabled: true } },
    storage: { filesystem: { rootdirectory: join(directory, 'data') } },
    http: { addr: host, ...(options.tls && { tls: { certificate, key } }) },
    ...(options.auth && { auth: { htpasswd: { realm: 'caisson', path: join(directory, 'passwords') } } }),
  }
  await writeFile(join(directory, 'config.json'), JSON.stringify(config))
  const server = spawn(tools.get('docker-registry')?.path ?? '', ['serve', join(directory, 'config.json')], {
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  const exited = once(server, 'exit')
  await listening(server.stderr)
  async function stop(): Promise<void> {
    server.kill('SIGKILL')
    await exited
  }
  return {
    host,
    caFile: options.tls ? certificate : undefined,
    stop,
    async [Symbol.asyncDispose]() {
      await stop()
      await rm(directory, { recursive: true, force: true })
    },
  }
}

async function listening(log: NodeJS.ReadableStream): Promise<void> {
  const said: string[] = []
  const lines = createInterface(log)
  for await (const line of lines) {
    said.push(line)
    if (line.includes('listening on')) {
      log.resume()
      return
    }
  }
  throw new Error(`the registry did not start:\n${said.join('\n')}`)
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  return typeof address === 'object' && address ? address.port : 0
}
