import { networkInterfaces } from 'node:os'
import { describe, expect, test } from 'vitest'
import { guardedLookup, isWithinReach, type Reach, rangesOf, reachOf } from './address-guard.ts'

describe('reachOf', () => {
  test.each<[string, Reach]>([
    ['93.184.216.34', 'public'],
    ['2606:2800:220:1::1', 'public'],
    ['10.1.2.3', 'private'],
    ['172.31.0.1', 'private'],
    ['172.32.0.1', 'public'],
    ['192.168.0.1', 'private'],
    ['100.64.0.1', 'private'],
    ['fd12::1', 'private'],
    ['127.0.0.1', 'this-machine'],
    ['127.255.0.1', 'this-machine'],
    ['::1', 'this-machine'],
    ['::ffff:127.0.0.1', 'this-machine'],
    ['::ffff:10.0.0.1', 'private'],
    ['64:ff9b::7f00:1', 'this-machine'],
    ['169.254.169.254', 'never'],
    ['::ffff:169.254.169.254', 'never'],
    ['64:ff9b::a9fe:a9fe', 'never'],
    ['fe80::1', 'never'],
    ['fe80::1%eth0', 'never'],
    ['fd00:ec2::254', 'never'],
    ['100.100.100.200', 'never'],
    ['168.63.129.16', 'never'],
    ['0.0.0.0', 'never'],
    ['::', 'never'],
    ['224.0.0.1', 'never'],
    ['255.255.255.255', 'never'],
    ['not an address', 'never'],
  ])('%s is %s', (address, expected) => expect(reachOf(address)).toBe(expected))

  test.each<[string, Reach]>([
    ['10.213.0.9', 'cluster'],
    ['10.96.255.1', 'cluster'],
    ['::ffff:10.96.0.1', 'cluster'],
    ['10.97.0.1', 'private'],
    ['10.250.0.1', 'private'],
  ])('%s is %s where the cluster has its own ranges', (address, expected) =>
    expect(reachOf(address, rangesOf(['10.213.0.0/16', '10.96.0.0/16']))).toBe(expected),
  )

  test('knows the addresses of this machine', () => {
    const own = Object.values(networkInterfaces()).flatMap((list) => list ?? [])
    expect(new Set(own.filter(({ scopeid }) => !scopeid).map(({ address }) => reachOf(address)))).toEqual(
      new Set(['this-machine']),
    )
  })
})

test('who may reach what', () => {
  const reaches: Reach[] = ['public', 'private', 'cluster', 'this-machine', 'never']
  const allowed = (most: Reach): Reach[] => reaches.filter((reach) => isWithinReach(reach, most))
  expect(Object.fromEntries(reaches.map((most) => [most, allowed(most)]))).toEqual({
    public: ['public'],
    private: ['public', 'private'],
    cluster: ['public', 'private', 'cluster'],
    'this-machine': ['public', 'private', 'cluster', 'this-machine'],
    never: ['public', 'private', 'cluster', 'this-machine'],
  })
})

test('a name that leads to this machine is not looked up for who may not get there', async () => {
  const lookUp = (most: Reach, excepted = false): Promise<unknown> =>
    new Promise((resolve) =>
      guardedLookup({ most }, () => excepted)('localhost', { all: false }, (error, address) =>
        resolve(error?.message ?? address),
      ),
    )
  expect(await lookUp('private')).toMatch(/^localhost \(.*\) is this machine itself/)
  expect(await lookUp('this-machine')).toMatch(/^(127\.0\.0\.1|::1)$/)
  // A proxy may be anywhere: it was chosen by who administers this machine.
  expect(await lookUp('public', true)).toMatch(/^(127\.0\.0\.1|::1)$/)
})
