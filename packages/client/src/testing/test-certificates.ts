/** Certificates for one test run, made by the openssl command: an authority, servers and clients that it vouches for. */
import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'

export interface IssuedCertificate {
  certificate: string
  key: string
}

export interface TestAuthority extends AsyncDisposable {
  certificate: string
  /** @param names subject alternative names such as `IP:127.0.0.1` or `DNS:example.test` */
  issue(commonName: string, names?: readonly string[]): Promise<IssuedCertificate>
}

const run = promisify(execFile)
const KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']

export async function createTestAuthority(): Promise<TestAuthority> {
  const directory = await mkdtemp(join(tmpdir(), 'caisson-client-certificates-'))
  const at = (name: string) => join(directory, name)
  const authority = ['-keyout', at('ca.key'), '-out', at('ca.crt'), '-subj', '/CN=test-authority', '-days', '2']
  await run('openssl', ['req', '-x509', ...KEY, ...authority])
  let issued = 0
  return {
    certificate: await readFile(at('ca.crt'), 'utf8'),
    async issue(commonName, names = []) {
      const name = `issued-${issued++}`
      const [key, request, certificate, extensions] = ['key', 'csr', 'crt', 'ext'].map((end) => at(`${name}.${end}`))
      if (!key || !request || !certificate || !extensions) throw new Error('unreachable')
      await writeFile(
        extensions,
        names.length > 0 ? `subjectAltName=${names.join(',')}\n` : 'basicConstraints=CA:FALSE\n',
      )
      await run('openssl', ['req', '-new', ...KEY, '-keyout', key, '-out', request, '-subj', `/CN=${commonName}`])
      const signed = ['-CA', at('ca.crt'), '-CAkey', at('ca.key'), '-CAcreateserial', '-days', '2']
      await run('openssl', ['x509', '-req', '-in', request, '-out', certificate, '-extfile', extensions, ...signed])
      return { certificate: await readFile(certificate, 'utf8'), key: await readFile(key, 'utf8') }
    },
    async [Symbol.asyncDispose]() {
      await rm(directory, { recursive: true, force: true })
    },
  }
}
