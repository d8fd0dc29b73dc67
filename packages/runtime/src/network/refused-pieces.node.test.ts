/** With the real nft: what it refuses is set aside, and nothing else. */
import { execFileSync } from 'node:child_process'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { installTools } from '../tools/install-tools.ts'
import { defaultToolsDirectory, findTool, toolEnvironment } from '../tools/tools.ts'
import { createFirewall, type Firewall, tableName } from './firewall.ts'
import type { RulePiece } from './rule-piece.ts'

const TAG = 'refused'
const toolsDirectory = defaultToolsDirectory()
let firewall: Firewall

const openFirewall = (): Promise<Firewall> =>
  createFirewall({
    tag: TAG,
    interfacePrefix: 'csrefused',
    cidr: '10.249.0.0/16',
    gateway: '10.249.0.1',
    prober: '10.249.255.254',
    toolsDirectory,
  })

beforeEach(async () => {
  await installTools(toolsDirectory, { tools: ['nft'] })
  firewall = await openFirewall()
  await firewall.ensure()
})
afterEach(async () => {
  await firewall.remove()
  await firewall[Symbol.asyncDispose]()
})

async function listed(): Promise<string> {
  const nft = await findTool('nft', toolsDirectory)
  if (!nft) throw new Error('there is no nft')
  const args = ['list', 'table', ...tableName(TAG).split(' ')]
  return execFileSync(nft.path, args, { encoding: 'utf8', env: toolEnvironment(nft) }).replaceAll(/\s+/g, ' ')
}

const pod = (ip: string, verdict = 'goto open'): RulePiece => ({
  elements: [{ set: 'egress', key: ip, value: verdict }],
})
/** Two targets of the same number. */
const badService: RulePiece = {
  chains: [
    {
      name: 's1',
      rules: ['meta l4proto tcp dnat ip to numgen random mod 2 map { 0 : 10.0.0.2 . 80, 0 : 10.0.0.3 . 80 }'],
    },
  ],
  elements: [{ set: 'services', key: '10.96.0.7 . tcp . 80', value: 'goto s1' }],
}
const badPolicy: RulePiece = {
  sets: [{ name: 'pe1_0a', kind: 'set', declaration: 'type ipv4_addr' }],
  chains: [{ name: 'pe1', rules: ['ip daddr @pe1_0a accept', 'ip daddr 10.0.0.0-9.0.0.0 accept'] }],
}
const isolation: RulePiece = { chains: [{ name: 'ce1', rules: ['jump pe1', 'goto refuse'] }] }
const selected: RulePiece = {
  elements: [
    { set: 'egress', key: '10.249.0.3', value: 'goto ce1' },
    { set: 'pe1_0a', key: '10.249.0.3' },
  ],
}

test('a Service that is refused is left out, and what comes with it and after it is in force', async () => {
  const refused = await firewall.change(
    new Map([
      ['pod a', pod('10.249.0.2')],
      ['service s', badService],
      ['pod b', pod('10.249.0.3')],
    ]),
  )
  expect([...refused.keys()]).toEqual(['service s'])
  expect(refused.get('service s')?.message).toContain('nft refused')
  expect(await firewall.change(new Map([['pod c', pod('10.249.0.4')]]))).toEqual(new Map())
  const table = await listed()
  for (const ip of ['10.249.0.2', '10.249.0.3', '10.249.0.4']) expect(table).toContain(`${ip} : goto open`)
  expect(table).not.toContain('10.96.0.7')
})

test('a policy that is refused lets nothing through for whom it selects', async () => {
  await firewall.change(new Map([['pod a', pod('10.249.0.2')]]))
  // Those that need it come first.
  const refused = await firewall.change(
    new Map<string, RulePiece>([
      ['pod b', selected],
      ['class ce1', isolation],
      ['policy p', badPolicy],
      ['pod c', pod('10.249.0.4')],
    ]),
  )
  expect([...refused.keys()]).toEqual(['policy p'])
  const table = await listed()
  expect(table).toContain('chain pe1 { goto refuse }')
  expect(table).toContain('10.249.0.3 : goto ce1')
  expect(table).toContain('10.249.0.4 : goto open')
  // Written otherwise it is in force, and what is away is away.
  const good = { ...badPolicy, chains: [{ name: 'pe1', rules: ['ip daddr @pe1_0a accept'] }] }
  expect((await firewall.change(new Map([['policy p', good]]))).size).toBe(0)
  expect(await listed()).toContain('chain pe1 { ip daddr @pe1_0a accept }')
  const gone = new Map(['policy p', 'class ce1', 'pod b'].map((key) => [key, undefined]))
  expect((await firewall.change(gone)).size).toBe(0)
  expect(await listed()).not.toContain('pe1')
})

test('what is refused of the first change of a daemon keeps nothing else from replacing what was there', async () => {
  await firewall.change(new Map([['pod a', pod('10.249.0.2')]]))
  await firewall[Symbol.asyncDispose]()
  firewall = await openFirewall()
  const refused = await firewall.change(
    new Map([
      ['service s', badService],
      ['pod b', pod('10.249.0.3')],
    ]),
  )
  expect([...refused.keys()]).toEqual(['service s'])
  const table = await listed()
  expect(table).toContain('10.249.0.3 : goto open')
  expect(table).not.toContain('10.249.0.2')
})
