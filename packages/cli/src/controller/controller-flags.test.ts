import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { controllerHelp, parseControllerFlags } from './controller-flags.ts'

test('reads flags as Go does', () => {
  const words = ['-leader-elect=false', '--extensions', '-cluster-domain', 'example.org', '--kube-api-qps=-1.5']
  const grace = ['--sandbox-warm-pool-readiness-grace-period', '1m30s', '--sandbox-concurrent-workers=+7']
  expect(parseControllerFlags([...words, ...grace, '-extensions=F', '--context=a=b'])).toEqual({
    flags: {
      'leader-elect': false,
      extensions: false,
      'cluster-domain': 'example.org',
      'kube-api-qps': -1.5,
      'sandbox-warm-pool-readiness-grace-period': 90_000,
      'sandbox-concurrent-workers': 7,
      context: 'a=b',
    },
    ignored: [],
  })
})

test('says of each flag without effect why it has none', () => {
  const { ignored } = parseControllerFlags([
    '--zap-devel',
    '--enable-webhook=false',
    '--sandbox-warm-pool-replenish-delay=0',
  ])
  expect(ignored).toEqual([
    '--sandbox-warm-pool-replenish-delay has no effect: pools yield to waiting claims by themselves',
    '--enable-webhook has no effect: there is no conversion webhook',
    '--zap-devel has no effect: --zap-encoder and --zap-log-level say what the log is like',
  ])
})

test.each([
  [['--leader-elct'], 'there is no flag --leader-elct: did you mean --leader-elect?'],
  [
    ['--sandbox-concurent-workers=3'],
    'there is no flag --sandbox-concurent-workers: did you mean --sandbox-concurrent-workers?',
  ],
  [['-everything'], 'there is no flag --everything: see --help'],
  [['--toString'], 'there is no flag --toString: see --help'],
  [['--leader-elect', 'false'], 'a flag begins with a dash and has a name: "false" does not'],
  [['---extensions'], 'a flag begins with a dash and has a name: "---extensions" does not'],
  [['--extensions=yes'], '--extensions takes true or false, not "yes"'],
  [['--cluster-domain'], '--cluster-domain needs a value'],
  [['--kube-api-burst=1.5'], '--kube-api-burst takes a whole number, not "1.5"'],
  [['--kube-api-qps=NaN'], '--kube-api-qps takes a number, not "NaN"'],
  [['--sandbox-concurrent-workers=0'], '--sandbox-concurrent-workers takes a number from 1 to 10000, not 0'],
  [
    ['--sandbox-warm-pool-readiness-grace-period=30'],
    '--sandbox-warm-pool-readiness-grace-period takes a duration with its unit, such as 30s or 5m, not "30"',
  ],
  [
    ['--metrics-secure-serving'],
    '--metrics-secure-serving needs --metrics-cert-dir, a directory of tls.crt and tls.key',
  ],
  [['--tls-min-version=VersionTLS13'], '--tls-min-version needs --metrics-secure-serving'],
  [['--tls-min-version=VersionTLS11'], '--tls-min-version takes VersionTLS12 or VersionTLS13, not "VersionTLS11"'],
])('refuses %j', (words, message) => {
  expect(() => parseControllerFlags(words)).toThrow(expect.objectContaining({ message, code: 'usage' }))
})

test('help and the documentation name every flag that is accepted', () => {
  const helped = [...controllerHelp().matchAll(/^ {2}--(\S+)/gm)].map(([, name]) => name)
  const page = readFileSync(join(import.meta.dirname, '../../../../docs/compatibility.md'), 'utf8')
  const section = page.split('\n## ').find((part) => part.startsWith('The controller as a process')) ?? ''
  // A list of flags is the first cell of a row.
  const documented = section.split('\n').flatMap((line) => [...(line.split('|')[1] ?? '').matchAll(/`--([a-z-]+)`/g)])
  expect(new Set(documented.map(([, name]) => name))).toEqual(
    new Set(helped.filter((name) => !/^h(elp)?$/.test(name ?? ''))),
  )
})
