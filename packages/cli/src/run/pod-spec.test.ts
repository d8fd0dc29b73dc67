import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test, vi } from 'vitest'
import { podSpec } from './pod-spec.ts'
import type { RunCommandOptions } from './run-options.ts'

const DEFAULTS: RunCommandOptions = {
  command: ['true'],
  image: 'caisson.dev/host',
  pull: 'missing',
  env: [],
  volume: [],
  network: 'isolated',
  publish: [],
  memory: '2Gi',
  storage: '10Gi',
}

const container = (options: Partial<RunCommandOptions>) => podSpec({ ...DEFAULTS, ...options }).containers[0]

test.each<[string, Partial<RunCommandOptions>, string]>([
  ['a uid past 31 bits', { user: '2147483648' }, '--user takes numbers up to 2147483647, not "2147483648"'],
  ['a gid past 31 bits', { user: '1:99999999999' }, '--user takes numbers up to 2147483647, not "1:99999999999"'],
  [
    'a port published twice',
    { publish: ['8080:80', '8080:81'] },
    '--publish names the port 127.0.0.1:8080/tcp twice: a port leads to one place',
  ],
  [
    'a relative directory to work in',
    { workdir: 'here' },
    '--workdir takes an absolute path in the sandbox, not "here"',
  ],
  [
    'memory in thousandths of bytes',
    { memory: '512m' },
    '--memory takes 4Mi or more (no program starts in less), not "512m", of 0.512 bytes: write 512Mi for mebibytes',
  ],
  [
    'memory that holds nothing',
    { memory: '1' },
    '--memory takes 4Mi or more (no program starts in less), not "1", of 1 bytes',
  ],
  ['memory without end', { memory: '8Ei' }, '--memory takes less than 8Ei, not "8Ei": none is no limit'],
  [
    'a disk that holds nothing',
    { storage: '1023Ki' },
    '--storage takes 1Mi or more (a sandbox with less is evicted for its log), not "1023Ki", of 1047552 bytes: write 1023Mi for mebibytes',
  ],
  ['a variable without a name', { env: ['=x'] }, `-e takes NAME=VALUE, or NAME for this process's own, not "=x"`],
])('refuses %s', (_name, options, message) => {
  expect(() => container(options)).toThrow(expect.objectContaining({ code: 'usage', message }))
})

test('refuses a directory that is not there, and takes one that is', () => {
  const directory = mkdtempSync(join(tmpdir(), 'caisson-volume-'))
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }))
  expect(podSpec({ ...DEFAULTS, volume: [`${directory}:/a:ro`] }).volumes).toEqual([
    { name: 'volume-0', hostPath: { path: directory } },
  ])
  const absent = join(directory, 'absent')
  expect(() => container({ volume: [`${absent}:/a`] })).toThrow(
    expect.objectContaining({ code: 'usage', message: `-v: ${absent} does not exist: make it first` }),
  )
})

test('takes the least memory and disk that a sandbox can do with, and no limit', () => {
  expect(container({ memory: '4Mi', storage: '1Mi' })?.resources?.limits).toEqual({
    memory: '4Mi',
    'ephemeral-storage': '1Mi',
  })
  expect(container({ memory: 'none', storage: 'none' })?.resources?.limits).toEqual({})
})

test('takes the largest ids, and one port of two protocols or addresses', () => {
  expect(container({ user: '2147483647:0' })?.securityContext).toMatchObject({ runAsUser: 2147483647, runAsGroup: 0 })
  const publish = ['53:53', '53:53/udp', '127.0.0.2:53:53']
  expect(container({ publish })?.ports).toHaveLength(3)
})

test('gives the variables of this process that are set, and leaves out those that are not', () => {
  vi.stubEnv('CAISSON_TEST_SET', 'here')
  vi.stubEnv('CAISSON_TEST_EMPTY', '')
  vi.stubEnv('CAISSON_TEST_UNSET', undefined)
  onTestFinished(() => void vi.unstubAllEnvs())
  const env = ['CAISSON_TEST_SET', 'CAISSON_TEST_EMPTY', 'CAISSON_TEST_UNSET', 'A=b=c', 'B=']
  expect(container({ env })?.env).toEqual([
    { name: 'CAISSON_TEST_SET', value: 'here' },
    { name: 'CAISSON_TEST_EMPTY', value: '' },
    { name: 'A', value: 'b=c' },
    { name: 'B', value: '' },
  ])
})

test('what was written is what is executed: nothing is put in the place of $', () => {
  const { command, env } = container({ command: ['sh', '-c', 'echo $$ $(date) $HOME'], env: ['A=$(B)', 'B=$$'] }) ?? {}
  expect(command).toEqual(['sh', '-c', 'echo $$$$ $$(date) $$HOME'])
  expect(env).toEqual([
    { name: 'A', value: '$$(B)' },
    { name: 'B', value: '$$$$' },
  ])
})
