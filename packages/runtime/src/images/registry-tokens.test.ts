/** Tokens of a registry: for whom they are, when they are renewed, and which are none. */
import { beforeEach, describe, expect, test } from 'vitest'
import { isLayer, useHostilePulls } from '../testing/hostile-pulls.ts'
import { type Script, serves, when } from '../testing/scripted-registry.ts'

const t = useHostilePulls()

describe('tokens', () => {
  let accepted = 'Bearer t1'
  const challenge: Script = (request, response) => {
    if (!request.url?.startsWith('/v2/') || request.headers.authorization === accepted) return false
    const realm = `http://${request.headers.host}/token`
    response.writeHead(401, { 'www-authenticate': `Bearer realm="${realm}",service="a, b",scope="x"` }).end()
    return true
  }
  const tokens = (answer: () => string): Script => when(/^\/token/, (response) => void response.end(answer()))
  beforeEach(() => {
    accepted = 'Bearer t1'
  })

  test('are got with the credentials, for the repository alone', async () => {
    const credentials = async () => [{ username: 'user', password: 'secret' }]
    expect(await t.pull([challenge, tokens(() => '{"token":"t1"}'), serves(t.image)], { credentials })).toEqual([
      'a',
      'b',
    ])
    expect(t.registry.requests.filter(({ path }) => path.startsWith('/token'))).toEqual([
      {
        method: 'GET',
        path: '/token?service=a%2C+b&scope=repository%3Aapp%3Apull',
        authorization: `Basic ${Buffer.from('user:secret').toString('base64')}`,
        range: undefined,
      },
    ])
  })

  test('are got without any for what is public', async () => {
    expect(await t.pull([challenge, tokens(() => '{"access_token":"t1"}'), serves(t.image)])).toEqual(['a', 'b'])
  })

  test('are renewed when they end in the middle', async () => {
    let given = 0
    const renewing = tokens(() => JSON.stringify({ token: `t${++given}` }))
    const flip: Script = (request) => {
      if (given === 1 && isLayer.test(request.url ?? '')) accepted = 'Bearer t2'
      return false
    }
    expect(await t.pull([flip, challenge, renewing, serves(t.image)])).toEqual(['a', 'b'])
    expect(given).toBeGreaterThan(1)
  })

  test('are renewed once for all that was sent side by side', async () => {
    let given = 0
    const renewing = tokens(() => JSON.stringify({ token: `t${++given}` }))
    const { promise: both, resolve } = Promise.withResolvers<void>()
    let waiting = t.image.layers.length
    const together: Script = async (request) => {
      const isOne = t.image.layers.some((layer) => request.url?.endsWith(layer.digest))
      if (!isOne || request.headers.authorization !== 'Bearer t1') return false
      accepted = 'Bearer t2'
      if (--waiting === 0) resolve()
      await both
      return false
    }
    expect(await t.pull([together, challenge, renewing, serves(t.image)])).toEqual(['a', 'b'])
    expect(given).toBe(2)
  })

  test.each([
    ['is no JSON', 'hello', 'bad-image'],
    ['is no text', '{"token":1}', 'bad-image'],
    ['would make another header', '{"token":"a\\r\\nb: c"}', 'bad-image'],
    ['is not what the registry takes', '{"token":"other"}', 'registry-denied'],
  ])('one that %s', async (_name, answer, code) => {
    await expect(t.pull([challenge, tokens(() => answer), serves(t.image)])).rejects.toMatchObject({ code })
  })

  test('are not fetched from where no pull may go', async () => {
    const astray: Script = (_request, response) => {
      response.writeHead(401, { 'www-authenticate': 'Bearer realm="http://169.254.169.254/token"' }).end()
      return true
    }
    await expect(t.pull([astray])).rejects.toMatchObject({ code: 'registry-out-of-reach' })
  })
})
