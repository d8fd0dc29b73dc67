import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import type { ClusterConnection, ExecPlugin } from './cluster-connection.ts'
import { createCredentials } from './credentials.ts'

let directory: string

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'caisson-client-plugin-'))
  onTestFinished(() => rm(directory, { recursive: true, force: true }))
})

/** A connection whose plugin is a shell script; each run adds a line to the file `runs`. */
async function withPlugin(script: string, plugin: Partial<ExecPlugin> = {}): Promise<ClusterConnection> {
  const command = join(directory, 'plugin')
  await writeFile(command, `#!/bin/sh\necho run >> ${directory}/runs\n${script}\n`)
  await chmod(command, 0o755)
  return {
    server: 'https://127.0.0.1:6443',
    namespace: 'default',
    certificateAuthority: { data: 'AUTHORITY' },
    exec: {
      apiVersion: 'client.authentication.k8s.io/v1',
      command,
      args: ['one two', '$HOME'],
      env: [{ name: 'EXTRA', value: 'yes' }],
      interactiveMode: 'Never',
      provideClusterInfo: true,
      clusterConfig: { audience: 'x' },
      ...plugin,
    },
  }
}

const runs = async () => (await readFile(join(directory, 'runs'), 'utf8')).length / 4
const answer = (status: object, apiVersion = 'client.authentication.k8s.io/v1') =>
  `echo '${JSON.stringify({ apiVersion, kind: 'ExecCredential', status })}'`

test('a password is sent as it is', async () => {
  const connection = {
    server: 'https://127.0.0.1:6443',
    namespace: 'default',
    basic: { username: 'a', password: 'é:' },
  }
  expect(await createCredentials(connection).current()).toEqual({ authorization: 'Basic YTrDqTo=' })
})

describe('a credential plugin', () => {
  test('is told what it is asked for, and asked once for all', async () => {
    const connection = await withPlugin(
      `printf '%s|%s|%s|%s' "$1" "$2" "$EXTRA" "$KUBERNETES_EXEC_INFO" > ${directory}/said\n${answer({ token: 'abc' })}`,
    )
    const credentials = createCredentials(connection)
    const given = await Promise.all([credentials.current(), credentials.current(), credentials.current()])
    expect(given).toEqual(Array.from({ length: 3 }, () => ({ authorization: 'Bearer abc' })))
    expect(await credentials.current()).toEqual({ authorization: 'Bearer abc' })
    expect(await runs()).toBe(1)
    const said = (await readFile(join(directory, 'said'), 'utf8')).split('|')
    expect(said.slice(0, 3)).toEqual(['one two', '$HOME', 'yes'])
    expect(JSON.parse(said[3] ?? '')).toEqual({
      apiVersion: 'client.authentication.k8s.io/v1',
      kind: 'ExecCredential',
      spec: {
        interactive: false,
        cluster: {
          server: 'https://127.0.0.1:6443',
          'certificate-authority-data': Buffer.from('AUTHORITY').toString('base64'),
          config: { audience: 'x' },
        },
      },
    })
  })

  test('is asked again when its answer has expired or was refused', async () => {
    const expired = createCredentials(
      await withPlugin(answer({ token: 'abc', expirationTimestamp: '2020-01-01T00:00:00Z' })),
    )
    await expired.current()
    await expired.current()
    expect(await runs()).toBe(2)

    const lasting = createCredentials(
      await withPlugin(answer({ token: 'abc', expirationTimestamp: '2999-01-01T00:00:00Z' })),
    )
    const first = await lasting.current()
    await lasting.current()
    expect(await runs()).toBe(3)
    expect(lasting.renew(first)).toBe(true)
    const second = await lasting.current()
    expect(await runs()).toBe(4)
    // Another request that was refused with the first one: the second one is not thrown away for it.
    lasting.renew(first)
    expect(await lasting.current()).toBe(second)
  })

  test('may give a certificate', async () => {
    const credentials = createCredentials(
      await withPlugin(
        answer({ clientCertificateData: 'C', clientKeyData: 'K' }, 'client.authentication.k8s.io/v1beta1'),
        { apiVersion: 'client.authentication.k8s.io/v1beta1' },
      ),
    )
    expect(await credentials.current()).toEqual({ certificate: { certificate: 'C', key: 'K' } })
  })

  test.each<[string, string, Partial<ExecPlugin>, string]>([
    ['fails', 'echo "not logged in" >&2; exit 3', {}, 'failed with exit code 3: not logged in'],
    ['is ended', 'kill -TERM $$', {}, 'was ended by SIGTERM'],
    ['prints no JSON', 'echo secret', {}, 'printed something that is not JSON'],
    ['prints other JSON', 'echo {}', {}, 'printed JSON that is no ExecCredential'],
    ['prints too much', 'head -c 3000000 /dev/zero', {}, 'printed more than 1048576 bytes'],
    [
      'answers in another version',
      answer({ token: 't' }, 'client.authentication.k8s.io/v1beta1'),
      {},
      'answered in client.authentication.k8s.io/v1beta1, but the kubeconfig says client.authentication.k8s.io/v1',
    ],
    ['returns nothing', answer({}), {}, 'returned neither a token nor a client certificate'],
    [
      'returns half a certificate',
      answer({ clientKeyData: 'K' }),
      {},
      'returned only one of clientCertificateData and clientKeyData',
    ],
    [
      'returns a time that is none',
      answer({ token: 't', expirationTimestamp: 'soon' }),
      {},
      'returned an expirationTimestamp that is no time: soon',
    ],
    [
      'needs a terminal',
      answer({ token: 't' }),
      { interactiveMode: 'Always' },
      'needs a terminal to ask its questions on, and standard input is none (interactiveMode Always)',
    ],
    [
      'is not there',
      '',
      { command: 'no-such-plugin-here', installHint: 'apt install it' },
      'could not be started: spawn no-such-plugin-here ENOENT\napt install it',
    ],
  ])('that %s says so', async (_name, script, plugin, message) => {
    const connection = await withPlugin(script, plugin)
    await expect(createCredentials(connection).current()).rejects.toMatchObject({
      name: 'TransportError',
      code: 'credentials',
      message: `the credential plugin ${connection.exec?.command} ${message}`,
    })
  })
})
