import type { ProjectedVolumeSource, Volume } from 'kubernetes-types/core/v1.d.ts'
import { describe, expect, test } from 'vitest'
import type { ConfigMapObject, SecretObject, TokenRequest } from '../pod-sources.ts'
import { aPod, NOW } from '../pods/observed-pod-fixtures.ts'
import { createFilesBudget } from './files-budget.ts'
import { type ProjectionSources, projectedFiles } from './projected-files.ts'

const minute = 60_000
const place = { podIp: '10.1.0.2', hostIp: '192.0.2.1', nodeName: 'node', allocatable: {} }

function sources(now = NOW, tokens: ProjectionSources['tokens'] = new Map()) {
  const requests: TokenRequest[] = []
  const from: ProjectionSources = {
    place,
    now,
    tokens,
    budget: createFilesBudget(),
    sources: {
      configMap: async (_namespace, name) =>
        name === 'cfg'
          ? ({
              apiVersion: 'v1',
              kind: 'ConfigMap',
              metadata: { name },
              data: { a: 'alpha' },
              binaryData: { b: Buffer.from([0, 255]).toString('base64') },
            } satisfies ConfigMapObject)
          : undefined,
      secret: async (_namespace, name) =>
        name === 'sec'
          ? ({
              apiVersion: 'v1',
              kind: 'Secret',
              metadata: { name },
              data: { key: Buffer.from('s').toString('base64') },
            } satisfies SecretObject)
          : undefined,
      requestToken: async (request) => {
        requests.push(request)
        return { token: `token-${requests.length}`, expiresAt: now + request.expirationSeconds * 1000 }
      },
    },
  }
  return { from, requests }
}

/** `PATH: CONTENT (MODE[, OWNER])` */
async function files(volume: Omit<Volume, 'name'>, spec: object = {}) {
  const found = await projectedFiles(aPod({ spec }), { name: 'v', ...volume }, sources().from)
  return [...(found?.files ?? [])].map(
    ([path, { data, mode, uid }]) =>
      `${path}: ${data.toString('latin1')} (${mode.toString(8)}${uid === undefined ? '' : `, ${uid}`})`,
  )
}

describe('projectedFiles', () => {
  test.each<[name: string, volume: Omit<Volume, 'name'>, expected: string[] | string]>([
    ['a ConfigMap with binary data', { configMap: { name: 'cfg' } }, ['a: alpha (644)', 'b: \0\xff (644)']],
    [
      'chosen keys at chosen paths',
      {
        configMap: {
          name: 'cfg',
          defaultMode: 0o400,
          items: [
            { key: 'a', path: 'dir/x', mode: 0o755 },
            { key: 'b', path: 'y' },
          ],
        },
      },
      ['dir/x: alpha (755)', 'y: \0\xff (400)'],
    ],
    [
      'a key that is not there',
      { configMap: { name: 'cfg', items: [{ key: 'z', path: 'z' }] } },
      'configmap references non-existent config key: z',
    ],
    ['unless that is allowed', { configMap: { name: 'cfg', optional: true, items: [{ key: 'z', path: 'z' }] } }, []],
    ['a ConfigMap that is not there', { configMap: { name: 'none' } }, 'configmap "none" not found'],
    ['unless that is allowed, too', { configMap: { name: 'none', optional: true } }, []],
    ['a Secret', { secret: { secretName: 'sec', defaultMode: 0o440 } }, ['key: s (440)']],
    [
      'a key of a Secret that is not there',
      { secret: { secretName: 'sec', items: [{ key: 'z', path: 'z' }] } },
      'references non-existent secret key: z',
    ],
    [
      'fields of the Pod',
      {
        downwardAPI: {
          items: [
            { path: 'name', fieldRef: { fieldPath: 'metadata.name' } },
            { path: 'uid', mode: 0o600, fieldRef: { fieldPath: 'metadata.uid' } },
          ],
        },
      },
      ['name: web (644)', 'uid: uid-1 (600)'],
    ],
    [
      'many sources in one volume, of which the last wins',
      {
        projected: {
          defaultMode: 0o640,
          sources: [
            { configMap: { name: 'cfg', items: [{ key: 'a', path: 'x' }] } },
            { secret: { name: 'sec', items: [{ key: 'key', path: 'x' }] } },
            { serviceAccountToken: { path: 'token' } },
          ],
        },
      },
      ['x: s (640)', 'token: token-1 (640)'],
    ],
    [
      'an unknown source',
      { projected: { sources: [{ podCertificate: {} } as NonNullable<ProjectedVolumeSource['sources']>[number]] } },
      'volume "v" has a source that this node does not know',
    ],
  ])('%s', async (_name, volume, expected) => {
    if (typeof expected === 'string') await expect(files(volume)).rejects.toThrow(expected)
    else expect(await files(volume)).toEqual(expected)
  })

  test('a token belongs to the user of the containers alone, where there is one', async () => {
    const volume = { projected: { sources: [{ serviceAccountToken: { path: 'token' } }] } }
    expect(await files(volume, { securityContext: { runAsUser: 1000 } })).toEqual(['token: token-1 (600, 1000)'])
    expect(await files(volume, { securityContext: { fsGroup: 2000 } })).toEqual(['token: token-1 (600)'])
  })

  test('a token is asked for once, for its audience and its Pod, and again long before it ends', async () => {
    const tokens: ProjectionSources['tokens'] = new Map()
    const volume: Volume = {
      name: 'v',
      projected: { sources: [{ serviceAccountToken: { path: 'token', audience: 'vault', expirationSeconds: 600 } }] },
    }
    const pod = aPod({ spec: { serviceAccountName: 'robot' } })
    const first = sources(NOW, tokens)
    expect((await projectedFiles(pod, volume, first.from))?.refreshAt).toBe(NOW + 8 * minute)
    expect(first.requests).toEqual([
      {
        namespace: 'default',
        serviceAccount: 'robot',
        audience: 'vault',
        expirationSeconds: 600,
        pod: { name: 'web', uid: 'uid-1' },
      },
    ])
    const early = sources(NOW + 7 * minute, tokens)
    await projectedFiles(pod, volume, early.from)
    expect(early.requests).toEqual([])
    const late = sources(NOW + 8 * minute, tokens)
    expect((await projectedFiles(pod, volume, late.from))?.refreshAt).toBe(NOW + 16 * minute)
    expect(late.requests).toHaveLength(1)
  })

  test('files that are too many are not made first, and their texts neither', async () => {
    const pod = aPod()
    const around = 'a=""'.length
    pod.metadata.annotations = { a: 'x'.repeat(256 * 1024 - around) }
    let asked = 0
    const items = Array.from({ length: 1_000 }, (_, index) => ({
      path: `f${index}`,
      get fieldRef() {
        asked++
        return { fieldPath: 'metadata.annotations' }
      },
    }))
    const volumes = [{ downwardAPI: { items } }, { projected: { sources: [{ downwardAPI: { items } }] } }]
    for (const volume of volumes) {
      asked = 0
      await expect(projectedFiles(pod, { name: 'v', ...volume }, sources().from)).rejects.toThrow('more than 64Mi')
      // Each takes 64 blocks and the one of its name, of 16,384.
      expect(asked).toBe(253)
    }
  })

  test('what many files hold is there once, and keys that nobody chose are not looked at', async () => {
    const { from } = sources()
    const data = {
      key: Buffer.from('s').toString('base64'),
      get other(): string {
        throw new Error('was looked at')
      },
    }
    from.sources.secret = async () => ({ apiVersion: 'v1', kind: 'Secret', metadata: { name: 'sec' }, data })
    const items = ['x', 'y'].map((path) => ({ key: 'key', path }))
    const found = await projectedFiles(aPod(), { name: 'v', secret: { secretName: 'sec', items } }, from)
    expect(found?.files.get('x')?.data.toString()).toBe('s')
    expect(found?.files.get('y')?.data).toBe(found?.files.get('x')?.data)
  })

  test('other volumes are none of its business', async () => {
    expect(await projectedFiles(aPod(), { name: 'v', emptyDir: {} }, sources().from)).toBeUndefined()
  })
})
