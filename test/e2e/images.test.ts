/** Images from a real registry with TLS and a user: for `caisson run`, and for Pods with pull secrets. */
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { busyboxImage } from '../../packages/runtime/src/testing/busybox-archive.ts'
import {
  REGISTRY_USER,
  type RegistryServer,
  startRegistry,
} from '../../packages/runtime/src/testing/registry-server.ts'
import { type BuiltImage, pushBuilt } from '../../packages/runtime/src/testing/remote-image-fixture.ts'
import { defaultToolsDirectory } from '../../packages/runtime/src/tools/tools.ts'
import { type Cluster, findKubectl, startCluster } from './fixture.ts'

let registry: RegistryServer
let cluster: Cluster
let image: BuiltImage
let work: string
beforeAll(async () => {
  work = mkdtempSync(join(tmpdir(), 'caisson-e2e-images-'))
  registry = await startRegistry({ tls: true, auth: true })
  const { host, caFile = '' } = registry
  image = await busyboxImage(defaultToolsDirectory())
  for (const repository of ['cli/busybox', 'helped/busybox', 'pods/busybox'])
    await pushBuilt(image, {
      host,
      repository,
      tag: 'v1',
      config: { hosts: { [host]: { caFile } } },
      credential: REGISTRY_USER,
    })
  cluster = await startCluster({ images: `hosts:\n  ${host}: { caFile: ${caFile} }\n` })
})
afterAll(async () => {
  await cluster?.[Symbol.asyncDispose]()
  await registry?.[Symbol.asyncDispose]()
  rmSync(work, { recursive: true, force: true })
})

function dockerConfig(name: string, content: unknown): string {
  const directory = join(work, name)
  mkdirSync(directory)
  writeFileSync(join(directory, 'config.json'), JSON.stringify(content))
  return directory
}

describe('caisson run --image', () => {
  test('pulls with the credentials of docker login, once', async () => {
    const auth = Buffer.from(`${REGISTRY_USER.username}:${REGISTRY_USER.password}`).toString('base64')
    const env = { DOCKER_CONFIG: dockerConfig('login', { auths: { [registry.host]: { auth } } }) }
    const name = `${registry.host}/cli/busybox:v1`
    const args = ['run', '--image', name, '--', 'busybox', 'echo', 'from a registry']
    const denied = await cluster.caisson(args)
    expect([denied.code, denied.stdout]).toEqual([77, ''])
    expect(denied.stderr).toContain(`${registry.host} does not give out cli/busybox without credentials`)
    const first = await cluster.caisson(args, { env })
    expect([first.code, first.stdout]).toEqual([0, 'from a registry\n'])
    expect(first.stderr).toMatch(
      new RegExp(`^(caisson: pulling ${name}\n)?caisson: pulled ${name} in [\\d.]+ s \\([\\d.]+ MB\\)\n$`),
    )
    expect(await cluster.caisson(args)).toEqual({ code: 0, stdout: 'from a registry\n', stderr: '' })
    const again = await cluster.caisson(['image', 'pull', name, '-o', 'json'], { env })
    expect(JSON.parse(again.stdout)).toMatchObject([
      { name, id: image.config.digest, repoDigests: [`${registry.host}/cli/busybox@${image.index.digest}`] },
    ])
    expect(again.stderr).toContain('is up to date')
  })

  test('asks a credential helper', async () => {
    const bin = join(work, 'bin')
    mkdirSync(bin)
    const { username: Username, password: Secret } = REGISTRY_USER
    const said = JSON.stringify({ ServerURL: registry.host, Username, Secret })
    writeFileSync(join(bin, 'docker-credential-test'), `#!/bin/sh\n[ "$(cat)" = ${registry.host} ] && echo '${said}'\n`)
    chmodSync(join(bin, 'docker-credential-test'), 0o755)
    const env = { DOCKER_CONFIG: dockerConfig('helper', { credsStore: 'test' }), PATH: `${bin}:${process.env['PATH']}` }
    const name = `${registry.host}/helped/busybox:v1`
    expect(await cluster.caisson(['image', 'pull', name], { env })).toMatchObject({ code: 0, stdout: `${name}\n` })
  })
})

describe.runIf(findKubectl())('a Pod with a pull secret', () => {
  const pod = (name: string, namespace: string, secret?: string): string =>
    JSON.stringify({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name, namespace },
      spec: {
        terminationGracePeriodSeconds: 0,
        imagePullSecrets: secret ? [{ name: secret }] : [],
        containers: [{ name: 'main', image: `${registry.host}/pods/busybox:v1`, command: ['sleep', '1000'] }],
      },
    })
  const apply = (text: string): Promise<string> => cluster.mustKubectl(['apply', '-f', '-'], { input: text })
  async function createSecret(namespace: string): Promise<void> {
    const { username, password } = REGISTRY_USER
    const login = [`--docker-server=${registry.host}`, `--docker-username=${username}`, `--docker-password=${password}`]
    await cluster.mustKubectl(['create', 'secret', 'docker-registry', 'registry', '-n', namespace, ...login])
  }
  const waiting = (reason: string): string =>
    `--for=jsonpath={.status.containerStatuses[0].state.waiting.reason}=${reason}`

  test('runs, and nobody else gets at its image', async () => {
    await cluster.mustKubectl(['create', 'namespace', 'other'])
    await createSecret('default')
    await apply(pod('has', 'default', 'registry'))
    await cluster.mustKubectl(['wait', '--for=condition=Ready', 'pod/has', '--timeout=60s'])
    const path = '-o=jsonpath={.status.containerStatuses[0].imageID}'
    expect(await cluster.mustKubectl(['get', 'pod', 'has', path])).toBe(
      `${registry.host}/pods/busybox@${image.index.digest}`,
    )
    const events = await cluster.mustKubectl(['events', '--for=pod/has'])
    expect(events).toMatch(/Pulling\s+Pod\/has\s+Pulling image/)
    expect(events).toMatch(
      /Pulled\s+Pod\/has\s+Successfully pulled image ".*" in .*s \(.*s including waiting\)\. Image size: \d+ bytes\./,
    )

    await apply(pod('has-not', 'other'))
    await cluster.mustKubectl(['wait', waiting('ImagePullBackOff'), 'pod/has-not', '-n', 'other', '--timeout=60s'])
    // The same password is the same right.
    await createSecret('other')
    await apply(pod('has-too', 'other', 'registry'))
    await cluster.mustKubectl(['wait', '--for=condition=Ready', 'pod/has-too', '-n', 'other', '--timeout=60s'])
  })
})
