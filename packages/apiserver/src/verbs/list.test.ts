import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { configMap, createRequests, namesOf, said } from '../testing/requests.ts'
import { type RunningServer, startServer } from '../testing/running-server.ts'

let server: RunningServer
const { collection, get, post, remove } = createRequests(() => server)

beforeAll(async () => {
  server = await startServer()
})

afterAll(async () => {
  await server[Symbol.asyncDispose]()
})

describe('list', () => {
  async function filled(count: number): Promise<string> {
    const path = await collection()
    for (let index = 0; index < count; index++)
      await post(path, { ...configMap(`c-${index}`), metadata: { name: `c-${index}`, labels: { n: String(index) } } })
    return path
  }

  test('pages show one moment, whatever happens between them', async () => {
    const path = await filled(5)
    const first = await get(`${path}?limit=2`)
    expect([namesOf(first), first.body.metadata.remainingItemCount]).toEqual([['c-0', 'c-1'], 3])
    await remove(`${path}/c-2`)
    await post(path, configMap('c-10'))
    const { resourceVersion } = first.body.metadata
    const second = await get(`${path}?limit=2&continue=${first.body.metadata.continue}`)
    expect([namesOf(second), second.body.metadata.resourceVersion]).toEqual([['c-2', 'c-3'], resourceVersion])
    const third = await get(`${path}?limit=2&continue=${second.body.metadata.continue}`)
    expect([namesOf(third), third.body.metadata.continue]).toEqual([['c-4'], undefined])
    const then = await get(`${path}?resourceVersion=${resourceVersion}&resourceVersionMatch=Exact`)
    expect(namesOf(then)).toEqual(['c-0', 'c-1', 'c-2', 'c-3', 'c-4'])
  })

  test.each<[selector: string, expected: string[]]>([
    ['n=1', ['c-1']],
    ['n==1', ['c-1']],
    ['n!=1', ['c-0', 'c-2', 'c-3']],
    ['n in (0,3)', ['c-0', 'c-3']],
    ['n notin (0,3),n', ['c-1', 'c-2']],
    ['!n', []],
    ['n>1', ['c-2', 'c-3']],
    ['n<1', ['c-0']],
    ['in=x', []],
    ['', ['c-0', 'c-1', 'c-2', 'c-3']],
  ])('by labels: %s', async (selector, expected) => {
    const path = await filled(4)
    expect(namesOf(await get(`${path}?labelSelector=${encodeURIComponent(selector)}`))).toEqual(expected)
  })

  test('by fields', async () => {
    const path = await filled(3)
    const select = (text: string) => get(`${path}?fieldSelector=${encodeURIComponent(text)}`)
    expect(namesOf(await select('metadata.name=c-1'))).toEqual(['c-1'])
    expect(namesOf(await select('metadata.name!=c-1,metadata.namespace!=x'))).toEqual(['c-0', 'c-2'])
    expect(said(await select('spec.x=1'))).toBe(
      '400 BadRequest: "spec.x" is not a known field selector: only "metadata.name", "metadata.namespace"',
    )
  })

  test.each<[query: string, expected: string]>([
    ['labelSelector=a,,b', '400 BadRequest'],
    ['labelSelector=a in', '400 BadRequest'],
    ['fieldSelector=a', '400 BadRequest'],
    ['limit=x', '400 BadRequest'],
    ['resourceVersion=x', '400 BadRequest'],
    ['resourceVersion=99999999', '504 Timeout'],
    ['resourceVersion=18446744073709551615', '504 Timeout'],
    ['resourceVersion=18446744073709551616', '400 BadRequest'],
    ['resourceVersionMatch=Exact', '422 Invalid'],
    ['resourceVersion=0&resourceVersionMatch=Exact', '422 Invalid'],
    ['continue=nonsense', '400 BadRequest'],
    ['sendInitialEvents=true', '422 Invalid'],
    ['sendInitialEvents=true&fieldSelector=spec.bogus=1', '422 Invalid'],
  ])('refuses %s', async (query, expected) => {
    const answer = await get(`${await collection()}?${query.replaceAll(' ', '%20')}`)
    expect(`${answer.status} ${answer.body.reason}`).toBe(expected)
  })

  test('a version from the future is told as it was asked for, however large', async () => {
    const path = await filled(1)
    const future = '9007199254740993'
    const message = `504 Timeout: Timeout: Too large resource version: ${future}, current: `
    for (const place of [path, `${path}/c-0`])
      expect(said(await get(`${place}?resourceVersion=${future}`))).toBe(`${message}${server.store.revision}`)
  })

  test('as metadata alone, as a table, as YAML', async () => {
    const path = await filled(1)
    const as = (kind: string) => ({ accept: `application/json;as=${kind};g=meta.k8s.io;v=v1` })
    const partial = (await get(path, as('PartialObjectMetadataList'))).body
    expect([partial.kind, partial.items[0].kind, Object.keys(partial.items[0])]).toEqual([
      'PartialObjectMetadataList',
      'PartialObjectMetadata',
      ['kind', 'apiVersion', 'metadata'],
    ])
    const table = (await get(path, as('Table'))).body
    expect([table.kind, table.rows[0].cells[0], table.rows[0].object.kind]).toEqual([
      'Table',
      'c-0',
      'PartialObjectMetadata',
    ])
    expect((await get(`${path}/c-0`, { accept: 'application/yaml' })).text).toContain('kind: ConfigMap\n')
    const refused = await get(path, {
      accept: 'application/vnd.kubernetes.protobuf;as=Table;g=meta.k8s.io;v=v1',
    })
    expect(`${refused.status} ${refused.body.reason}`).toBe('406 NotAcceptable')
  })
})
