import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { findConnection, inClusterConnection } from './connect.ts'
import { loadKubeconfig } from './kubeconfig.ts'

let directory: string

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'caisson-client-kubeconfig-'))
  onTestFinished(() => rm(directory, { recursive: true, force: true }))
})

async function write(name: string, text: string): Promise<string> {
  const path = join(directory, name)
  await writeFile(path, text)
  return path
}

/** A kubeconfig with one of everything, whose user and cluster have these further lines. */
function config({ user = 'token: t', cluster = '', context = '' } = {}): string {
  const indented = (text: string) => text.replaceAll('\n', '\n      ')
  return `
apiVersion: v1
kind: Config
current-context: here
contexts:
  - name: here
    context:
      cluster: c
      user: u
      ${indented(context)}
clusters:
  - name: c
    cluster:
      server: https://127.0.0.1:6443
      ${indented(cluster)}
users:
  - name: u
    user:
      ${indented(user)}
`
}

const PEM = '-----BEGIN CERTIFICATE-----\n'
const base64 = (text: string) => Buffer.from(text).toString('base64')

describe('a context comes down to', () => {
  test.each<[string, Parameters<typeof config>[0], (at: string) => object]>([
    ['a token', { user: 'token: abc' }, () => ({ token: 'abc' })],
    [
      'a token file beside the kubeconfig',
      { user: 'tokenFile: sub/token' },
      (at) => ({ tokenFile: join(at, 'sub/token') }),
    ],
    [
      'certificates inside of it',
      {
        user: `client-certificate-data: ${base64(PEM)}\nclient-key-data: ${base64(PEM)}`,
        cluster: `certificate-authority-data: ${base64(PEM)}\ncertificate-authority: ignored`,
      },
      () => ({
        certificateAuthority: { data: PEM },
        clientCertificate: { certificate: { data: PEM }, key: { data: PEM } },
      }),
    ],
    [
      'certificates in files',
      { user: 'client-certificate: tls.crt\nclient-key: /etc/tls.key', cluster: 'certificate-authority: ../ca.crt' },
      (at) => ({
        certificateAuthority: { file: join(at, '../ca.crt') },
        clientCertificate: { certificate: { file: join(at, 'tls.crt') }, key: { file: '/etc/tls.key' } },
      }),
    ],
    [
      'a proxy, another name and no verification',
      {
        user: '{}',
        cluster: 'proxy-url: socks5://localhost:1080\ntls-server-name: api\ninsecure-skip-tls-verify: true',
      },
      () => ({ proxyUrl: 'socks5://localhost:1080', tlsServerName: 'api', insecureSkipTlsVerify: true }),
    ],
    [
      'somebody else',
      {
        user: 'token: t\nas: jane\nas-groups: [a, b]\nas-uid: "7"\nas-user-extra: {scopes: [x]}',
        context: 'namespace: n',
      },
      () => ({
        namespace: 'n',
        token: 't',
        impersonate: { user: 'jane', groups: ['a', 'b'], uid: '7', extra: { scopes: ['x'] } },
      }),
    ],
    [
      'a plugin',
      {
        user: 'exec:\n  apiVersion: client.authentication.k8s.io/v1\n  command: ./login\n  args: [--quiet]\n  env: [{name: A, value: b}]\n  interactiveMode: Never\n  provideClusterInfo: true\n  installHint: get it',
        cluster: 'extensions:\n  - name: client.authentication.k8s.io/exec\n    extension: {audience: x}',
      },
      (at) => ({
        exec: {
          apiVersion: 'client.authentication.k8s.io/v1',
          command: join(at, 'login'),
          args: ['--quiet'],
          env: [{ name: 'A', value: 'b' }],
          interactiveMode: 'Never',
          provideClusterInfo: true,
          installHint: 'get it',
          clusterConfig: { audience: 'x' },
        },
      }),
    ],
    ['a password', { user: 'username: a\npassword: b' }, () => ({ basic: { username: 'a', password: 'b' } })],
    [
      'a token rather than a plugin',
      { user: 'token: t\nexec:\n  apiVersion: client.authentication.k8s.io/v1beta1\n  command: login' },
      () => ({ token: 't' }),
    ],
  ])('%s', async (_name, parts, expected) => {
    const loaded = await loadKubeconfig({ path: await write('config', config(parts)) })
    expect(loaded.connection()).toEqual({
      namespace: 'default',
      server: 'https://127.0.0.1:6443',
      ...expected(directory),
    })
  })
})

describe('a kubeconfig is refused', () => {
  test.each<[string, string, string]>([
    [
      'a password beside a token',
      config({ user: 'username: a\npassword: b\ntoken: t' }),
      'users["u"].user.username is set together with a token; remove one of the two',
    ],
    [
      'an auth provider that is no more',
      config({ user: 'auth-provider: {name: gcp}' }),
      'users["u"].user.auth-provider is gcp, which kubectl left out in 1.26; use the exec plugin gke-gcloud-auth-plugin',
    ],
    [
      'an auth provider of client-go',
      config({ user: 'auth-provider: {name: oidc, config: {idp-issuer-url: "https://example.com"}}' }),
      'users["u"].user.auth-provider is "oidc", which is not supported here; use an exec plugin (for oidc: kubectl oidc-login get-token)',
    ],
    [
      'a certificate without its key',
      config({ user: 'client-certificate: a' }),
      'users["u"].user.client-key is missing beside the client certificate',
    ],
    [
      'data that is no PEM',
      config({ cluster: 'certificate-authority-data: abc' }),
      'clusters["c"].cluster.certificate-authority-data is not a PEM file in base64',
    ],
    [
      'an authority that is not looked at',
      config({ cluster: 'certificate-authority: a\ninsecure-skip-tls-verify: true' }),
      'clusters["c"].cluster.insecure-skip-tls-verify is set together with a certificate authority; remove one of the two: without verification the authority means nothing',
    ],
    [
      'a proxy of an unknown kind',
      config({ cluster: 'proxy-url: ftp://x' }),
      'clusters["c"].cluster.proxy-url has to begin with http://, https://, socks5://, socks5h://',
    ],
    [
      'a token that is a number',
      config({ user: 'token: 123' }),
      'users["u"].user.token has to be a text, and is number: put it in quotes',
    ],
    [
      'a plugin of an old version',
      config({ user: 'exec: {apiVersion: client.authentication.k8s.io/v1alpha1, command: x}' }),
      'users["u"].user.exec.apiVersion is "client.authentication.k8s.io/v1alpha1", but has to be one of client.authentication.k8s.io/v1, client.authentication.k8s.io/v1beta1',
    ],
    [
      'a plugin that does not say whether it asks',
      config({ user: 'exec: {apiVersion: client.authentication.k8s.io/v1, command: x}' }),
      'users["u"].user.exec.interactiveMode is missing; client.authentication.k8s.io/v1 asks for one of Never, IfAvailable, Always',
    ],
    [
      'a server of an unknown kind',
      config().replace('https:', 'tcp:'),
      'clusters["c"].cluster.server has to begin with https:// or http://, and is "tcp://127.0.0.1:6443"',
    ],
    [
      'a server that is no URL',
      config().replace('https://127.0.0.1:6443', 'nowhere'),
      'clusters["c"].cluster.server is no URL such as https://host:6443: "nowhere"',
    ],
    [
      'a cluster that is not there',
      config().replace('cluster: c', 'cluster: d'),
      'contexts["here"].context.cluster names "d", which no file describes',
    ],
    [
      'a context that is not there',
      config().replace('current-context: here', 'current-context: there'),
      'there is no context "there"; there are: here',
    ],
    [
      'no current context',
      config().replace('current-context: here', ''),
      'no current-context is set; name one (there are: here)',
    ],
    ['a list that is none', config().replace(/users:[^]*/, 'users: {}'), 'users has to be a list'],
    ['something else', '- 1', 'the whole file has to be a map of fields'],
  ])('with %s', async (_name, text, message) => {
    const path = await write('config', text)
    const loading = loadKubeconfig({ path }).then((loaded) => loaded.connection())
    await expect(loading).rejects.toMatchObject({
      name: 'KubeconfigError',
      message: expect.stringMatching(new RegExp(`^${path}: `)),
    })
    await expect(loading).rejects.toThrow(message)
  })

  test.each([
    ['a: [1\nb: 2', /, line 2, column 1: Flow sequence in block collection [^\n]*: correct the file, or name another/],
    [
      '{"token": "secret",\n"a": [,]}',
      /^[^\n]*, line 2, column 7: Unexpected , in flow sequence: correct the file, or name another kubeconfig$/,
    ],
    ['a: *b', /: Unresolved alias .*: correct the file, or name another kubeconfig$/],
  ])(
    'with the syntax error in %j, of which the place is said in one line, and nothing of the text',
    async (text, message) => {
      const path = await write('config', text)
      await expect(loadKubeconfig({ path })).rejects.toThrow(message)
    },
  )
})

describe('several files', () => {
  test('are merged, the first one wins, and files that are missing do not matter', async () => {
    const first = await write('first', config({ user: 'token: first' }))
    const second = await write('second', config({ user: 'token: second' }).replaceAll('here', 'there'))
    const env = { KUBECONFIG: `${first}:${join(directory, 'missing')}::${second}` }
    const loaded = await loadKubeconfig({ env })
    expect({ ...loaded, connection: undefined }).toEqual({
      files: [first, second],
      currentContext: 'here',
      contexts: ['here', 'there'],
      connection: undefined,
    })
    expect(loaded.connection({ context: 'there' }).token).toBe('first')
  })

  test('of which none exists say where they were looked for', async () => {
    const env = { HOME: directory }
    await expect(findConnection({ env })).rejects.toThrow(
      `there is no kubeconfig: ${directory}/.kube/config does not exist; set KUBECONFIG`,
    )
    await expect(findConnection({ context: 'foo', env: { KUBECONFIG: '/nosuch' } })).rejects.toThrow(
      expect.objectContaining({
        code: 'kubeconfig-missing',
        message: 'KUBECONFIG names /nosuch, and nothing is there: set it to a file that is, or unset it',
      }),
    )
    await expect(findConnection({ kubeconfig: join(directory, 'mine'), env })).rejects.toThrow(
      /mine does not exist: name a kubeconfig that is there/,
    )
  })

  test('a JSON file is one too, and keys that reach prototypes are names like any other', async () => {
    const text =
      '{"clusters":[{"name":"__proto__","cluster":{"server":"https://a"}}],"contexts":[{"name":"constructor","context":{"cluster":"__proto__"}}],"current-context":"constructor"}'
    const loaded = await loadKubeconfig({ path: await write('config', text) })
    expect(loaded.connection()).toEqual({ namespace: 'default', server: 'https://a' })
    await expect(async () => loaded.connection({ context: 'toString' })).rejects.toThrow(
      'there is no context "toString"',
    )
  })
})

describe('in a Pod', () => {
  test('the ServiceAccount is used where no kubeconfig is', async () => {
    const account = join(directory, 'serviceaccount')
    await mkdir(account)
    await writeFile(join(account, 'namespace'), 'agents')
    const env = { KUBERNETES_SERVICE_HOST: 'fd00::1', KUBERNETES_SERVICE_PORT: '443', HOME: directory }
    expect(await inClusterConnection({ env, directory: account })).toEqual({
      server: 'https://[fd00::1]:443',
      certificateAuthority: { file: `${account}/ca.crt` },
      tokenFile: `${account}/token`,
      namespace: 'agents',
    })
    await expect(findConnection({ env })).rejects.toThrow('this process runs in a Pod without a ServiceAccount token')
    expect(await inClusterConnection({ env: {}, directory: account })).toBeUndefined()
  })
})
