import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { formatAddress, formatCidr, openAddressAllocator, overlaps, parseCidr, proberOf } from './address-allocator.ts'

let parent: string
let directory: string
beforeEach(async () => {
  parent = await mkdtemp(join(tmpdir(), 'caisson-addresses-'))
  directory = join(parent, 'addresses')
})
afterEach(() => rm(parent, { recursive: true, force: true }))

const SMALL = parseCidr('10.1.2.0/24')

test('hands out every address but the network, the gateway, the prober and broadcast, each once', async () => {
  const allocator = await openAddressAllocator(directory, SMALL)
  const given = []
  for (let index = 0; index < 252; index++) given.push(formatAddress(SMALL.base + (await allocator.allocate())))
  expect([new Set(given).size, given[0], given.at(-1)]).toEqual([252, '10.1.2.2', '10.1.2.253'])
  expect(proberOf(SMALL)).toBe('10.1.2.254')
  await expect(allocator.allocate()).rejects.toThrow('all 252 addresses of 10.1.2.0/24 are in use')
})

test('does not give an address again before all others were given', async () => {
  const allocator = await openAddressAllocator(directory, SMALL)
  const first = await allocator.allocate()
  await allocator.release(first)
  for (let index = 0; index < 251; index++) expect(await allocator.allocate()).not.toBe(first)
  expect(await allocator.allocate()).toBe(first)
})

test('the next process knows whose they are and ignores what is no address', async () => {
  const before = await openAddressAllocator(directory, SMALL)
  await before.claim(await before.allocate(), 'one')
  await before.allocate()
  for (const stray of ['2.new', 'x', '1', '254', '255', '99999']) await writeFile(join(directory, stray), 'stray')
  const after = await openAddressAllocator(directory, SMALL)
  expect([...after.owners()]).toEqual([
    [2, 'one'],
    [3, ''],
  ])
  expect((await readdir(directory)).sort()).toEqual(['2', '3'])
})

test('the next process does not give at once what this one gave, nor begin too early after the last address', async () => {
  const given = new Set<number>()
  for (let process = 0; process < 3; process++) {
    const allocator = await openAddressAllocator(directory, SMALL)
    for (let count = 0; count < 3; count++) {
      const index = await allocator.allocate()
      expect(given).not.toContain(index)
      given.add(index)
      await allocator.release(index)
    }
  }
  await writeFile(`${directory}.next`, '254')
  const last = await openAddressAllocator(directory, SMALL)
  expect([await last.allocate(), await last.allocate()]).toEqual([2, 3])
  expect(await (await openAddressAllocator(directory, SMALL)).allocate()).toBe(66)
})

test('a number that cannot be written down is nobody’s, and none is given before it is', async () => {
  const allocator = await openAddressAllocator(directory, SMALL)
  const failing = async (inTheWay: string): Promise<void> => {
    await mkdir(inTheWay)
    await expect(allocator.allocate()).rejects.toThrow('EISDIR')
    await rm(inTheWay, { recursive: true })
  }
  await failing(`${directory}.next.new`)
  await failing(join(directory, '3'))
  expect([...allocator.owners()]).toEqual([])
  expect(await allocator.allocate()).toBe(4)
  expect(await readFile(`${directory}.next`, 'utf8')).toBe('68')
})

test('what says where to begin may be anything', async () => {
  for (const text of ['', 'x', '-1', '1.5', '1e9']) {
    await writeFile(join(parent, 'addresses.next'), text)
    expect(await (await openAddressAllocator(directory, SMALL)).allocate()).toBeGreaterThanOrEqual(2)
  }
})

test.each([
  ['10.213.7.9/16', '10.213.0.0/16'],
  ['192.168.255.255/24', '192.168.255.0/24'],
])('%s is the network %s', (given, expected) => expect(formatCidr(parseCidr(given))).toBe(expected))

test.each(['10.0.0.0', '10.0.0.0/8', '10.0.0.0/25', '256.0.0.0/16', '10.0.0/16', 'x', '1.2.3.4/16; reboot'])(
  '%j is no network',
  (given) => expect(() => parseCidr(given)).toThrow(/expected a network/),
)

test.each([
  ['10.1.0.0/16', '10.1.2.0/24', true],
  ['10.1.2.0/24', '10.1.0.0/16', true],
  ['10.1.0.0/16', '10.2.0.0/16', false],
  ['192.168.1.0/24', '192.168.2.0/24', false],
])('%s and %s overlap: %s', (one, other, expected) => expect(overlaps(parseCidr(one), parseCidr(other))).toBe(expected))
