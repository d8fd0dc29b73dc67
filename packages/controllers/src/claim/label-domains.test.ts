import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, renameSync, rmdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as apiserver from '@caisson/apiserver'
import { type Client, createClient, isAlreadyExists, resources, TransportError } from '@caisson/client'
import { expect, onTestFinished, test } from 'vitest'
import { isReady, reasonIs, useClaims } from '../testing/claim-fixture.ts'
import { runControllers, startTestNode } from '../testing/test-cluster.ts'
import { followLabelDomains } from './label-domains.ts'

const t = useClaims(apiserver)
const namespace = 'agent-sandbox-system'
const name = 'agent-sandbox-config'

async function configure(client: Client, domains: string): Promise<void> {
  await client.create(resources.namespaces, { metadata: { name: namespace } }).catch((error: unknown) => {
    if (!isAlreadyExists(error)) throw error
  })
  await client.create(
    resources.configMaps,
    { metadata: { name }, data: { 'allowed-label-domains': domains } },
    { namespace },
  )
}

const labelled = (key: string) => ({
  templateRef: { name: 'web' },
  additionalPodMetadata: { labels: { [key]: 'a' } },
})

test('the administrator says which label domains claims may use, and claims that were refused get their Sandbox', async () => {
  await using _node = await startTestNode(t.client, t.namespace)
  await t.createTemplate()
  await t.createClaim('mine', labelled('team.example.com/name'))
  await t.untilClaim('mine', reasonIs('InvalidMetadata'))
  await configure(t.client, 'example.com,\nexample.org')
  await t.untilClaim('mine', isReady)
  // They stand in place of the usual one.
  await t.createClaim('usual', labelled('sandbox.users.io/name'))
  await t.untilClaim('usual', reasonIs('InvalidMetadata'))
  // Known from the first claim on.
  await t.restart()
  await t.createClaim('next', labelled('example.org/name'))
  await t.untilClaim('next', isReady)
  await t.client.delete(resources.configMaps, name, { namespace })
  await t.untilClaim('usual', isReady)
  expect(t.running.errors).toEqual([])
})

test('where the ConfigMap is mounted its file says so, as it is now, whatever the API server has', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'sandbox-config-'))
  /** As a kubelet does it: files of a ConfigMap are links into a directory that a link names. */
  const mount = (version: string, domains?: string): void => {
    mkdirSync(join(directory, version))
    if (domains !== undefined) writeFileSync(join(directory, version, 'allowed-label-domains'), domains)
    symlinkSync(version, join(directory, 'next'))
    renameSync(join(directory, 'next'), join(directory, '..data'))
  }
  await t.running[Symbol.asyncDispose]()
  await configure(t.client, 'example.com')
  await using _node = await startTestNode(t.client, t.namespace)
  mount('..1')
  symlinkSync('..data/allowed-label-domains', join(directory, 'allowed-label-domains'))
  await using running = await runControllers(t.cluster, t.namespace, { extensions: { configDirectory: directory } })
  await t.createTemplate()
  await t.createClaim('usual', labelled('sandbox.users.io/name'))
  await t.untilClaim('usual', isReady)
  await t.createClaim('mine', labelled('example.org/name'))
  await t.untilClaim('mine', reasonIs('InvalidMetadata'))
  mount('..2', 'Example.org\n')
  await t.untilClaim('mine', isReady)
  await t.createClaim('other', labelled('example.com/name'))
  await t.untilClaim('other', reasonIs('InvalidMetadata'))
  await t.client.delete(resources.configMaps, name, { namespace })
  expect(running.errors).toEqual([])
  rmSync(directory, { recursive: true })
})

test('its file is followed also where the machine has no more watches to give', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'sandbox-config-'))
  onTestFinished(() => rmSync(directory, { recursive: true }))
  const file = join(directory, 'allowed-label-domains')
  writeFileSync(file, 'example.com')
  const program = `
    import { writeFileSync } from 'node:fs'
    import { followLabelDomains } from './label-domains.ts'
    writeFileSync('/proc/sys/user/max_inotify_instances', '0')
    const [, directory, file] = process.argv
    const changed = Promise.withResolvers()
    const { signal } = new AbortController()
    await using domains = await followLabelDomains({ directory, namespace: 'any', signal, changed: changed.resolve, onError: console.log })
    console.log(domains.allowed.join())
    writeFileSync(file, 'example.org')
    await changed.promise
    console.log(domains.allowed.join())`
  const words = ['--user', '--map-root-user', process.execPath, '--input-type=module', '-e', program, directory, file]
  const said = execFileSync('unshare', words, { cwd: import.meta.dirname, encoding: 'utf8' })
  expect(said).toBe('example.com\nexample.org\n')
})

test('it is asked for again where the API server was away: what cannot be read is not the usual', async () => {
  await configure(t.client, 'example.com')
  onTestFinished(async () => void (await t.client.delete(resources.configMaps, name, { namespace })))
  const { transport } = t.cluster
  const lost = [1, 2]
  const client = createClient({
    ...transport,
    async request(asked) {
      if (lost.pop()) throw new TransportError('lost', 'the connection is lost')
      return transport.request(asked)
    },
  })
  const errors: unknown[] = []
  const { signal } = new AbortController()
  const options = {
    client,
    directory: undefined,
    namespace,
    signal,
    changed() {},
    onError: (e: unknown) => errors.push(e),
  }
  await using domains = await followLabelDomains(options)
  expect([domains.allowed, errors]).toMatchObject([['example.com'], [{ code: 'lost' }, { code: 'lost' }]])
})

test('a file that cannot be read for a moment says what it said before', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'sandbox-config-'))
  onTestFinished(() => rmSync(directory, { recursive: true }))
  const file = join(directory, 'allowed-label-domains')
  writeFileSync(file, 'example.com')
  const failed = Promise.withResolvers<unknown>()
  const changed = Promise.withResolvers<void>()
  const { signal } = new AbortController()
  const options = { client: t.client, directory, namespace, signal, changed: changed.resolve, onError: failed.resolve }
  await using domains = await followLabelDomains(options)
  rmSync(file)
  mkdirSync(file)
  expect(await failed.promise).toMatchObject({ code: 'EISDIR' })
  expect(domains.allowed).toEqual(['example.com'])
  rmdirSync(file)
  writeFileSync(file, 'example.org')
  await changed.promise
  expect(domains.allowed).toEqual(['example.org'])
})
