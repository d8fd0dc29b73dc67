/** The commands of `caisson` about its cluster, and what all of them have in common, as a user types them. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { EXIT_CODES } from '../../packages/cli/src/cli-error.ts'
import { type Cluster, run, startCluster } from './fixture.ts'
import { leftovers } from './leftovers.ts'

let cluster: Cluster
let work: string
beforeAll(async () => {
  cluster = await startCluster({ busybox: true })
  work = mkdtempSync(join(tmpdir(), 'caisson-cli-'))
})
afterAll(async () => {
  rmSync(work, { recursive: true, force: true })
  await cluster[Symbol.asyncDispose]()
})

describe('the cluster’s commands', () => {
  test('up says so where one runs', async () => {
    const before = JSON.parse(await cluster.mustCaisson(['status', '-o', 'json'])) as { pid: number; server: string }
    expect(await cluster.mustCaisson(['up', '--detach'])).toBe(
      `already running: ${before.server}, process ${before.pid}\n`,
    )
    expect(await cluster.caisson(['up', '--detach', '--listen', '127.0.0.1:1'])).toEqual({
      code: 1,
      stdout: '',
      stderr: `caisson: the cluster runs already, at ${before.server}, and --listen asks for 127.0.0.1:1: 'caisson down' stops it first\n`,
    })
    expect((await cluster.caisson(['up', '--detach', '--fake-runtime'])).stderr).toBe(
      `caisson: the cluster runs already, without RuntimeClass fake, and --fake-runtime asks for it: 'caisson down' stops it first\n`,
    )
    expect((await cluster.caisson(['up', '--no-flat-group'])).stderr).toBe(
      `caisson: the cluster runs already, with pools in the group of Sandbox too, and --no-flat-group asks for their own alone: 'caisson down' stops it first\n`,
    )
    expect(JSON.parse(await cluster.mustCaisson(['status', '-o', 'json']))).toEqual({
      running: true,
      pid: before.pid,
      server: expect.stringMatching(/^https:\/\/127\.0\.0\.1:\d+$/),
      version: '0.1.0',
      dataDirectory: cluster.dataDirectory,
      log: join(cluster.dataDirectory, 'caisson.log'),
    })
    expect(await cluster.mustCaisson(['status'])).toBe(
      `running: ${before.server}, process ${before.pid}, version 0.1.0, data in ${cluster.dataDirectory}, log in ${join(cluster.dataDirectory, 'caisson.log')}\n`,
    )
  })

  test('kubeconfig prints a path that only its user can read', async () => {
    const path = (await cluster.mustCaisson(['kubeconfig'])).trim()
    expect([path, statSync(path).mode & 0o777]).toEqual([join(cluster.dataDirectory, 'kubeconfig'), 0o600])
    expect(statSync(cluster.dataDirectory).mode & 0o777).toBe(0o700)
  })

  test('image lists, names, removes and refuses', async () => {
    const archive = join(cluster.dataDirectory, 'busybox.tar')
    expect(await cluster.mustCaisson(['image', 'import', archive, '--name', 'other:2'])).toBe(
      'docker.io/library/other:2\n',
    )
    const names = (await cluster.mustCaisson(['image', 'ls', '-o', 'name'])).trim().split('\n').sort()
    expect(names).toEqual([
      'image/caisson.dev/host:latest',
      'image/docker.io/library/busybox:latest',
      'image/docker.io/library/other:2',
    ])
    await cluster.mustCaisson(['run', '--detach', '--name', 'user', '--image', 'other:2', '--', 'sleep', 'infinity'])
    await cluster.mustKubectl(['wait', '--for=condition=Ready', 'sandbox/user', '--timeout=60s'])
    // The image has another name, which is its last then.
    expect(await cluster.mustCaisson(['image', 'rm', 'other:2'])).toBe('other:2\n')
    const used = await cluster.caisson(['image', 'rm', 'busybox'])
    expect([used.code, used.stderr]).toEqual([
      1,
      'caisson: a container uses the image docker.io/library/busybox:latest: remove the container first\n',
    ])
    await cluster.mustCaisson(['rm', 'user'])
    expect((await cluster.caisson(['image', 'rm', 'other:2'])).code).toBe(66)
    expect(await cluster.caisson(['image', 'rm', 'caisson.dev/host'])).toEqual({
      code: 1,
      stdout: '',
      stderr: 'caisson: caisson.dev/host:latest is a view of this machine: it cannot be removed\n',
    })
    const piped = await run('bash', ['-c', 'bin/caisson image import - --name piped:1 <"$1"', 'bash', archive], {
      env: cluster.env,
    })
    expect(piped).toEqual({ code: 0, stdout: 'docker.io/library/piped:1\n', stderr: '' })
    await cluster.mustCaisson(['image', 'rm', 'piped:1'])
    expect(await cluster.caisson(['image', 'push', 'busybox', 'localhost:1/busybox'])).toEqual({
      code: 69,
      stdout: '',
      stderr: expect.stringMatching(/cannot be reached: .*: 'caisson image push NAME TO' gives it to another, and /),
    })
    expect(await cluster.caisson(['image', 'import', 'README.md'])).toEqual({
      code: 64,
      stdout: '',
      stderr: "caisson: README.md: not a tar archive: name an archive as 'docker save' or an OCI tool writes it\n",
    })
    expect(await cluster.mustCaisson(['image', 'ls'])).toMatch(/^caisson\.dev\/host:latest +[0-9a-f]{12} +- +-$/m)
  })

  test('doctor finds this machine healthy', async () => {
    const report = JSON.parse(await cluster.mustCaisson(['doctor', '-o', 'json'])) as {
      healthy: boolean
      findings: Array<{ check: string; state: string }>
    }
    expect(report.healthy).toBe(true)
    expect(report.findings.map(({ check }) => check)).toEqual([
      'root',
      'runsc',
      'runc',
      'nft',
      'busybox',
      'kata',
      'forwarding',
      'strays',
      'data',
      'cluster',
    ])
  })

  test('version and completion', async () => {
    expect(JSON.parse(await cluster.mustCaisson(['version', '-o', 'json']))).toEqual({
      caisson: '0.1.0',
      node: expect.any(String),
      kubernetes: 'v1.34',
    })
    const script = await cluster.mustCaisson(['completion', 'bash'])
    expect(await run('bash', ['-n'], { input: script })).toEqual({ code: 0, stdout: '', stderr: '' })
    const completed = await run('bash', [
      '-c',
      `${script}\nCOMP_WORDS=(caisson ver); COMP_CWORD=1; _caisson; echo "\${COMPREPLY[@]}"`,
    ])
    expect(completed.stdout).toBe('version\n')
    expect((await cluster.caisson(['completion', 'tcsh'])).code).toBe(64)
  })

  test('an unknown command is a usage error with a suggestion', async () => {
    const outcome = await cluster.caisson(['rnu'])
    expect([outcome.code, outcome.stdout]).toEqual([64, ''])
    expect(outcome.stderr).toContain('Did you mean run?')
  })
})

test('apply has the values that kubectl makes of a file, and waits for Sandboxes', async () => {
  const file = join(work, 'applied.yaml')
  writeFileSync(
    file,
    `apiVersion: v1
kind: PodTemplate
metadata: {name: applied}
template:
  spec:
    automountServiceAccountToken: no
    containers: [{name: main, image: busybox}]
    volumes: [{name: key, secret: {secretName: key, defaultMode: 0400}}]
---
apiVersion: agents.x-k8s.io/v1beta1
kind: Sandbox
metadata: {name: applied}
spec:
  podTemplate:
    spec: {containers: [{name: main, image: busybox, command: [sleep, infinity]}]}
`,
  )
  expect(await cluster.mustCaisson(['apply', '-f', file, '--wait'])).toBe(
    'podtemplates/applied applied\nsandboxes/applied applied\nsandboxes/applied ready\n',
  )
  const fields = '{.template.spec.automountServiceAccountToken} {.template.spec.volumes[0].secret.defaultMode}'
  const read = ['get', 'podtemplate', 'applied', '-o', `jsonpath=${fields}`]
  const ours = await cluster.mustKubectl(read)
  await cluster.mustKubectl(['delete', 'podtemplate', 'applied'])
  await cluster.mustKubectl(['apply', '-f', file])
  expect([ours, await cluster.mustKubectl(read)]).toEqual(['false 256', 'false 256'])
  // It is Ready no more once it is to be another, though it says so for a moment.
  const metadata = { name: 'applied' }
  const podTemplate = { spec: { containers: [{ name: 'main', image: 'busybox', command: ['sleep', 'infinity'] }] } }
  const suspended = {
    apiVersion: 'agents.x-k8s.io/v1beta1',
    kind: 'Sandbox',
    metadata,
    spec: { podTemplate, operatingMode: 'Suspended' },
  }
  writeFileSync(file, JSON.stringify(suspended))
  expect(await cluster.caisson(['apply', '-f', file, '--wait', '--timeout', '1s'])).toMatchObject({
    code: EXIT_CODES['timed-out'],
    stdout: 'sandboxes/applied applied\n',
    stderr: expect.stringContaining('Sandbox applied was not ready in time: ') as string,
  })
  await cluster.mustCaisson(['rm', 'applied'])
})

test('apply says of each object that is refused where it stands, and applies the rest', async () => {
  const config = (name: string): string => `apiVersion: v1\nkind: ConfigMap\nmetadata: {name: ${name}}\n`
  const sandbox = (name: string, spec: string): string =>
    `apiVersion: agents.x-k8s.io/v1beta1\nkind: Sandbox\nmetadata: {name: ${name}}\nspec: ${spec}\n`
  const mixed = join(work, 'mixed.yaml')
  const documents = [
    config('mixed-1'),
    sandbox('typo', '{podTemplat: {}}'),
    sandbox('number', '{podTemplate: {spec: {containers: 7}}}'),
    config('Not_DNS'),
    'apiVersion: v1\nkind: Nothing\nmetadata: {name: x}\n',
    config('mixed-2'),
  ]
  writeFileSync(mixed, documents.join('---\n'))
  const broken = join(work, 'broken.yaml')
  writeFileSync(broken, `${config('never')}---\n{a: 1\n`)
  const outcome = await cluster.caisson(['apply', '-f', mixed, '-f', broken, '-f', '/nope', '--wait'])
  expect({ ...outcome, stderr: outcome.stderr.split('\n') }).toEqual({
    code: 1,
    stdout: 'configmaps/mixed-1 applied\nconfigmaps/mixed-2 applied\n',
    stderr: [
      expect.stringMatching(`^caisson: ${broken}, line \\d+, column \\d+: Flow map .*$`),
      'caisson: /nope does not exist: name a file that does, or - for standard input',
      `caisson: ${mixed}, document 2 (Sandbox typo): spec.podTemplat is no field of Sandbox: 'kubectl explain sandbox.spec' says what there is`,
      `caisson: ${mixed}, document 3 (Sandbox number): spec.podTemplate.spec.containers takes a list, not 7: 'kubectl explain sandbox.spec.podTemplate.spec.containers' says what there is`,
      expect.stringMatching(
        `^caisson: ${mixed}, document 4 \\(ConfigMap Not_DNS\\): metadata.name: Invalid value: .*$`,
      ),
      `caisson: ${mixed}, document 5 (Nothing x): v1 has no kind Nothing: 'kubectl api-resources' lists those that there are`,
      '',
    ],
  })
  const typo = join(work, 'typo.yaml')
  writeFileSync(typo, sandbox('typo', '{podTemplat: {}}'))
  expect((await cluster.caisson(['apply', '-f', typo])).code).toBe(64)
  expect((await cluster.kubectl(['explain', 'sandbox.spec.podTemplate.spec.containers'])).code).toBe(0)
})

test('global options stand in front of a command or behind it, up to the command of a sandbox', async () => {
  const elsewhere = `caisson: the embedded cluster of ${join(work, 'elsewhere')} does not run: start it with 'caisson up --detach'\n`
  for (const args of [
    ['--data-dir', join(work, 'elsewhere'), 'ls'],
    ['ls', '--data-dir', join(work, 'elsewhere')],
    ['--data-dir', join(work, 'other'), 'exec', '--data-dir', join(work, 'elsewhere'), 'name', '--', 'true'],
  ])
    expect(await cluster.caisson(args)).toEqual({ code: 69, stdout: '', stderr: elsewhere })
  const none = "caisson: no sandbox nothing in namespace other: 'caisson ls' lists them\n"
  for (const args of [
    ['rm', 'nothing', '-n', 'other'],
    ['-n', 'default', 'logs', '--namespace', 'other', 'nothing'],
  ])
    expect(await cluster.caisson(args)).toEqual({ code: 66, stdout: '', stderr: none })
  expect(await cluster.mustCaisson(['image', '--data-dir', join(work, 'images'), 'ls', '-o', 'name'])).toBe(
    'image/caisson.dev/host:latest\n',
  )
  expect(await cluster.mustCaisson(['run', '--', 'echo', '-n', 'given', '--data-dir', 'x'])).toBe('given --data-dir x')
})

test('mistakes end with the code of their kind, and say the next step', async () => {
  const bad = join(work, 'bad.yaml')
  writeFileSync(bad, 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: unwanted}\n')
  const outcomes = [
    await cluster.caisson(['run', '-n', 'nosuchns', '--', 'true']),
    await cluster.caisson(['image', 'import', '/nope.tar']),
    await cluster.caisson(['apply', '-f', bad, '--wait', '--timeout', 'soon']),
    await cluster.caisson(['exec', 'name']),
    await cluster.caisson(['run', '--nam', 'name', '--', 'true']),
    await cluster.caisson(['ls', '-o', 'table']),
    await cluster.caisson(['frobnicate']),
    await cluster.caisson(['bogus']),
    await cluster.caisson(['image', 'import', work]),
    await cluster.caisson(['run', '--timeout', '0', '--', 'true']),
    await cluster.caisson(['logs', 'x'.repeat(300)]),
    await cluster.caisson(['ls', '--context', 'foo'], { env: { KUBECONFIG: '/nosuch' } }),
  ]
  expect(outcomes).toEqual([
    {
      code: 66,
      stdout: '',
      stderr: "caisson: there is no namespace nosuchns: 'kubectl create namespace nosuchns' makes it\n",
    },
    {
      code: 66,
      stdout: '',
      stderr: 'caisson: /nope.tar does not exist: name an archive as docker save or an OCI tool writes it\n',
    },
    { code: 64, stdout: '', stderr: expect.stringMatching(/^caisson: --timeout takes a duration .*"soon"\n$/) },
    { code: 64, stdout: '', stderr: "caisson: missing required argument 'command': see 'caisson exec --help'\n" },
    { code: 64, stdout: '', stderr: "caisson: unknown option '--nam': Did you mean --name?\n" },
    {
      code: 64,
      stdout: '',
      stderr:
        "caisson: option '-o, --output <format>' argument 'table' is invalid. Allowed choices are json, yaml, name, wide: see 'caisson ls --help'\n",
    },
    { code: 64, stdout: '', stderr: "caisson: unknown command 'frobnicate': see 'caisson --help'\n" },
    { code: 64, stdout: '', stderr: "caisson: unknown command 'bogus': see 'caisson --help'\n" },
    {
      code: 64,
      stdout: '',
      stderr: `caisson: ${work} is a directory: name an archive as docker save or an OCI tool writes it\n`,
    },
    {
      code: 64,
      stdout: '',
      stderr: 'caisson: --timeout takes a duration of more than 0: leave it out for no limit\n',
    },
    {
      code: 66,
      stdout: '',
      stderr: `caisson: no sandbox ${'x'.repeat(40)}… (300 characters) in namespace default: 'caisson ls' lists them\n`,
    },
    {
      code: 66,
      stdout: '',
      stderr: 'caisson: KUBECONFIG names /nosuch, and nothing is there: set it to a file that is, or unset it\n',
    },
  ])
})

test('on a terminal, what takes its time is said while it does, and gone from there afterwards', async () => {
  const stubborn = 'trap "" TERM; touch /tmp/deaf; while :; do sleep 1; done'
  await cluster.mustCaisson(['run', '--detach', '--name', 'stubborn', '--', 'sh', '-c', stubborn])
  await cluster.mustCaisson(['exec', 'stubborn', '--', 'sh', '-c', 'until [ -e /tmp/deaf ]; do sleep 0.01; done'])
  const { stdout } = await run('script', ['-qec', 'bin/caisson rm stubborn', '/dev/null'], {
    env: cluster.env,
    input: '',
  })
  expect(stdout.replaceAll('\r\x1b[K', '|').replaceAll(/\r|\^@/g, '')).toMatch(
    /^(\|waiting for what runs in them to end: \d+ s)+\|stubborn\n$/,
  )
})

test('names that nothing can have, and places that nothing can be at, are said to be wrong', async () => {
  await cluster.mustCaisson(['run', '--detach', '--name', 'named', '--', 'sleep', 'infinity'])
  const { server } = JSON.parse(await cluster.mustCaisson(['status', '-o', 'json'])) as { server: string }
  const taken = server.replace('https://', '')
  const wrongName =
    "is no name: use lower-case letters, digits, '-' and '.', a letter or digit first and last, at most 253 of them"
  const cases: Array<[args: string[], code: number, said: string]> = [
    [
      ['run', '-n', 'Bad_NS', '--', 'true'],
      64,
      `--namespace "Bad_NS" is no name: use lower-case letters, digits and '-', a letter or digit first and last, at most 63 of them`,
    ],
    [['exec', 'a/b', '--', 'true'], 64, `"a/b" is no name: one has lower-case letters, digits, '-' and '.'`],
    [['template', 'create', 'Bad_N'], 64, `NAME "Bad_N" ${wrongName}`],
    [['pool', 'create', 'Bad_N', '--template', 'x'], 64, `NAME "Bad_N" ${wrongName}`],
    [
      ['template', 'create', 'x', '-n', 'none'],
      66,
      "there is no namespace none: 'kubectl create namespace none' makes it",
    ],
    [['exec', '-c', 'side', 'named', '--', 'true'], 66, 'named has no container side: it has main'],
    [['logs', '-c', 'side', 'named'], 66, 'named has no container side: it has main'],
    [['cp', '-c', 'side', 'README.md', 'named:/tmp'], 66, 'named has no container side: it has main'],
    [['image', 'rm', ''], 64, '"" is not the name of an image: it must have 1 to 512 characters'],
    [['image', 'inspect', ''], 64, '"" is not the name of an image: it must have 1 to 512 characters'],
    [
      ['image', 'export', 'busybox', '-f', '/nope/x.tar'],
      64,
      '/nope/x.tar is in a directory that does not exist: name another file',
    ],
    [['image', 'export', 'busybox', '-f', 'README.md'], 64, 'README.md is there already: name another file'],
    [['router', '--listen', taken], 69, `${taken} is in use: choose another address`],
    [
      ['router', '--kubeconfig', '/nope'],
      66,
      '/nope does not exist: name a kubeconfig that is there and yours to read',
    ],
    [
      ['node', 'leave'],
      66,
      `${cluster.dataDirectory} is no node of a cluster: name the directory of one with --data-dir`,
    ],
  ]
  for (const [args, code, said] of cases)
    expect(await cluster.caisson(args), args.join(' ')).toEqual({ code, stdout: '', stderr: `caisson: ${said}\n` })
  const bytes = await run('bash', ['-c', "bin/caisson run -- echo $'a\\xff'"], { env: cluster.env })
  expect([bytes.code, bytes.stdout]).toEqual([64, ''])
  expect(bytes.stderr).toMatch(/^caisson: an argument is no text in UTF-8, .*\n$/)
  await cluster.mustCaisson(['rm', 'named'])
})

test('what has ended or sleeps is not kept or copied, and nothing waits for it', async () => {
  await cluster.mustCaisson(['run', '--keep', '--name', 'ended', '--', 'true'])
  await cluster.mustCaisson(['run', '--detach', '--name', 'asleep', '--', 'sleep', 'infinity'])
  await cluster.mustCaisson(['exec', 'asleep', '--', 'true'])
  await cluster.mustCaisson(['suspend', 'asleep'])
  const ended = "caisson: ended has ended (exit code 0): 'caisson logs ended' prints what it wrote\n"
  const asleep = "caisson: sandbox asleep sleeps: 'caisson resume asleep' has it go on\n"
  for (const command of ['snapshot', 'fork']) {
    expect(await cluster.caisson([command, 'ended'])).toEqual({ code: 69, stdout: '', stderr: ended })
    expect(await cluster.caisson([command, 'asleep'])).toEqual({ code: 69, stdout: '', stderr: asleep })
  }
  const kept = await cluster.mustKubectl(['get', 'sandboxsnapshots', '-o', 'name'])
  expect(kept).toBe('sandboxsnapshot.caisson.dev/asleep.memory\n')
  expect(await cluster.mustCaisson(['ls', '-o', 'name'])).toBe('sandbox/asleep\nsandbox/ended\n')
  await cluster.mustCaisson(['rm', 'ended', 'asleep'])
})

describe('a cluster that does not run', () => {
  test('is started by run, says so, keeps objects, and down leaves nothing of it', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'caisson-own-'))
    const env = { ...cluster.env, CAISSON_DATA_DIR: directory, KUBECONFIG: '' }
    const caisson = (args: string[]): ReturnType<typeof run> => run('bin/caisson', args, { env })
    try {
      expect(await caisson(['status', '-o', 'json'])).toMatchObject({
        code: 1,
        stdout: `{"running":false,"dataDirectory":"${directory}"}\n`,
      })
      expect(await caisson(['ls'])).toEqual({
        code: 69,
        stdout: '',
        stderr: `caisson: the embedded cluster of ${directory} does not run: start it with 'caisson up --detach'\n`,
      })
      expect((await caisson(['kubeconfig'])).code).toBe(69)
      const first = await caisson(['run', '--', 'echo', 'hello'])
      expect(first).toEqual({
        code: 0,
        stdout: 'hello\n',
        stderr:
          'caisson: starting the embedded cluster (it ends by itself after 15m without work)\ncaisson: the embedded cluster runs\n',
      })
      expect((await caisson(['run', '--detach', '--name', 'stays', '--', 'sleep', 'infinity'])).code).toBe(0)
      expect(await caisson(['down'])).toEqual({ code: 0, stdout: 'stopped\n', stderr: '' })
      expect(leftovers(directory)).toEqual({ processes: [], mounts: [], namespaces: [], containers: [], groups: [] })
      expect(await caisson(['down'])).toEqual({ code: 0, stdout: 'not running\n', stderr: '' })
      expect((await caisson(['up', '--detach'])).code).toBe(0)
      expect((await caisson(['ls', '-o', 'name'])).stdout).toBe('sandbox/stays\n')
    } finally {
      await caisson(['down'])
      expect(readdirSync(directory)).toContain('objects')
      rmSync(directory, { recursive: true, force: true })
    }
  })

  test.each([
    ['SIGINT', 130, 'interrupted'],
    ['SIGTERM', 143, 'terminated'],
  ] as const)('is not left behind by a start that %s ends', async (signal, exitCode, how) => {
    const directory = mkdtempSync(join(tmpdir(), 'caisson-interrupted-'))
    const env = { ...cluster.env, CAISSON_DATA_DIR: directory, KUBECONFIG: '' }
    const child = spawn('bin/caisson', ['up', '--detach'], { env: { ...process.env, ...env }, stdio: 'pipe' })
    const said = text(child.stderr)
    // It is there a moment before what is to write it starts.
    await expect.poll(() => existsSync(join(directory, 'caisson.log')), { interval: 5 }).toBe(true)
    child.kill(signal)
    const [code] = await once(child, 'exit')
    expect([code, await said]).toEqual([exitCode, `caisson: ${how}: the cluster was not started\n`])
    expect(leftovers(directory)).toEqual({ processes: [], mounts: [], namespaces: [], containers: [], groups: [] })
    expect(await run('bin/caisson', ['down'], { env })).toEqual({ code: 0, stdout: 'not running\n', stderr: '' })
    rmSync(directory, { recursive: true })
  })

  test('up refuses an address that others could reach, also where it would detach itself', async () => {
    for (const detach of [[], ['--detach']]) {
      const up = ['--data-dir', join(work, 'other'), 'up', ...detach]
      const outcome = await cluster.caisson([...up, '--listen', '0.0.0.0:6443'])
      expect([outcome.code, outcome.stdout]).toEqual([64, ''])
      expect(outcome.stderr).toMatch(/^caisson: --listen takes a loopback address .*\n$/)
      expect(await cluster.caisson([...up, '--listen', 'bogus'])).toEqual({
        code: 64,
        stdout: '',
        stderr: 'caisson: --listen takes host:port, such as 127.0.0.1:6443, not "bogus"\n',
      })
    }
    expect(existsSync(join(work, 'other'))).toBe(false)
  })

  test('up --detach ends with the code of what ended the cluster that it started', async () => {
    const other = join(work, 'taken')
    const { server } = JSON.parse(await cluster.mustCaisson(['status', '-o', 'json'])) as { server: string }
    const listen = server.replace('https://', '')
    const outcome = await cluster.caisson(['--data-dir', other, 'up', '--detach', '--listen', listen])
    expect(outcome).toEqual({
      code: 69,
      stdout: '',
      stderr: `caisson: ${listen} is in use: choose another address with --listen\n`,
    })
  })
})
