/** What a user does with a sandbox that runs by itself. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Cluster, startCluster } from './fixture.ts'

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

const sandboxesNow = async (): Promise<string> => cluster.mustCaisson(['ls', '-A', '-o', 'name'])

describe('a detached sandbox', () => {
  beforeAll(async () => {
    const script = 'echo one; echo two; while :; do sleep 1; done'
    expect(await cluster.mustCaisson(['run', '--detach', '--name', 'worker', '--', 'sh', '-c', script])).toBe(
      'worker\n',
    )
    await cluster.mustKubectl(['wait', '--for=condition=Ready', 'sandbox/worker', '--timeout=60s'])
  })

  test('is listed', async () => {
    const [header, row] = (await cluster.mustCaisson(['ls'])).split('\n')
    expect(header?.split(/\s+/)).toEqual(['NAME', 'READY', 'REASON', 'AGE'])
    expect(row?.split(/\s+/).slice(0, 3)).toEqual(['worker', 'True', 'DependenciesReady'])
    expect(await cluster.mustCaisson(['ls', '-o', 'name'])).toBe('sandbox/worker\n')
    const listed = JSON.parse(await cluster.mustCaisson(['ls', '-o', 'json'])) as { items: Array<{ metadata: object }> }
    expect(listed).toMatchObject({ apiVersion: 'v1', kind: 'List', items: [{ metadata: { name: 'worker' } }] })
    expect(Object.keys(listed.items[0]?.metadata ?? {})).not.toContain('managedFields')
    expect((await cluster.mustCaisson(['ls', '-o', 'wide'])).split('\n')[1]).toContain('caisson.dev/host')
    expect(await cluster.mustCaisson(['ls', '-o', 'yaml'])).toContain('name: worker')
  })

  test('has logs, whole, by number and followed', async () => {
    expect(await cluster.mustCaisson(['logs', 'worker'])).toBe('one\ntwo\n')
    expect(await cluster.mustCaisson(['logs', '--tail', '1', 'worker'])).toBe('two\n')
    expect(await cluster.mustCaisson(['logs', '--timestamps', '--tail', '1', 'worker'])).toMatch(
      /^\d{4}-\d\d-\d\dT[\d:.]+Z two\n$/,
    )
    const follow = spawn('bin/caisson', ['logs', '-f', 'worker'], {
      env: { ...process.env, ...cluster.env },
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const first = await new Promise((resolve) => createInterface(follow.stdout).once('line', resolve))
    follow.kill()
    expect(first).toBe('one')
  })

  test('is waited for by logs and exec where it has only just been made', async () => {
    const made = ['run', '--detach', '--name', 'just-made', '--', 'sh', '-c', 'echo begun; sleep 1000']
    await cluster.mustCaisson(made)
    expect(await cluster.mustCaisson(['exec', 'just-made', '--', 'echo', 'inside'])).toBe('inside\n')
    await cluster.mustCaisson(['rm', 'just-made'])
    await cluster.mustCaisson(made)
    await cluster.mustCaisson(['logs', 'just-made'])
    await expect.poll(() => cluster.mustCaisson(['logs', 'just-made'])).toBe('begun\n')
    await cluster.mustCaisson(['rm', 'just-made'])
    await cluster.mustCaisson(['run', '--detach', '--name', 'just-made', '--', '/no/such'])
    expect(await cluster.caisson(['exec', 'just-made', '--', 'true'])).toEqual({
      code: 66,
      stdout: '',
      stderr:
        'caisson: /no/such is not in the image caisson.dev/host, or its interpreter is not: name a command that is there, or another image\n',
    })
    await cluster.mustCaisson(['rm', 'just-made'])
  })

  test('runs further commands', async () => {
    const outcome = await cluster.caisson(['exec', '-i', 'worker', '--', 'sh', '-c', 'cat; echo err >&2; exit 5'], {
      input: 'given',
    })
    expect(outcome).toEqual({ code: 5, stdout: 'given', stderr: 'err\n' })
    expect((await cluster.caisson(['exec', 'worker', 'id', '-u'])).stdout).not.toBe('0\n')
    const spoken = 'executing processes for container: of the command itself'
    expect(await cluster.caisson(['exec', 'worker', '--', 'sh', '-c', `echo '${spoken}' >&2; exit 7`])).toEqual({
      code: 7,
      stdout: '',
      stderr: `${spoken}\n`,
    })
  })

  test('says once that a further command is not there', async () => {
    for (const command of ['/nope', 'nope'])
      expect(await cluster.caisson(['exec', 'worker', '--', command, 'argument'])).toEqual({
        code: 66,
        stdout: '',
        stderr: `caisson: ${command} is not in the image caisson.dev/host, or its interpreter is not: name a command that is there, or another image\n`,
      })
  })

  test('takes and gives files', async () => {
    const file = join(work, 'a file')
    writeFileSync(file, 'x'.repeat(100_000))
    await cluster.mustCaisson(['cp', file, 'worker:/tmp/there'])
    expect((await cluster.caisson(['exec', 'worker', '--', 'wc', '-c', '/tmp/there'])).stdout).toBe(
      '100000 /tmp/there\n',
    )
    await cluster.mustCaisson(['cp', 'worker:/tmp/there', join(work, 'back')])
    expect(readFileSync(join(work, 'back'), 'utf8')).toBe('x'.repeat(100_000))
    await cluster.mustCaisson(['exec', 'worker', '--', 'touch', '/tmp/empty'])
    for (const path of ['/tmp/empty', '/proc/version']) {
      await cluster.mustCaisson(['cp', `worker:${path}`, join(work, 'read')])
      expect(readFileSync(join(work, 'read'), 'utf8')).toBe(
        await cluster.mustCaisson(['exec', 'worker', '--', 'cat', path]),
      )
    }
    const nowhere = await cluster.caisson(['cp', 'worker:/tmp/there', join(work, 'no/such/directory/back')])
    expect([nowhere.code, nowhere.stderr]).toEqual([
      1,
      `caisson: nothing can be written to ${join(work, 'no/such/directory')} (ENOENT): name another place\n`,
    ])
    const missing = await cluster.caisson(['cp', 'worker:/tmp/nothing', join(work, 'nothing')])
    expect([missing.code, missing.stderr.trim().split('\n').at(-1)]).toEqual([
      66,
      "caisson: /tmp/nothing could not be read in the sandbox: see tar's message above",
    ])
  })

  test.each(['caisson.dev/host', 'busybox'])('takes files into directories that are there, of %s', async (image) => {
    const name = image === 'busybox' ? 'taker' : 'worker'
    if (name === 'taker') {
      await cluster.mustCaisson(['run', '--detach', '--name', name, '--image', image, '--', 'sleep', 'infinity'])
      await cluster.mustKubectl(['wait', '--for=condition=Ready', `sandbox/${name}`, '--timeout=60s'])
    }
    const file = join(work, 'into')
    writeFileSync(file, 'given\n')
    mkdirSync(join(work, 'tree/below'), { recursive: true })
    writeFileSync(join(work, 'tree/below/leaf'), 'leaf\n')
    await cluster.mustCaisson(['cp', file, `${name}:/tmp`])
    await cluster.mustCaisson(['cp', join(work, 'tree'), `${name}:/tmp`])
    await cluster.mustCaisson(['cp', join(work, 'tree'), `${name}:/tmp/other`])
    await cluster.mustCaisson(['cp', file, `${name}:/tmp/tree/`])
    await cluster.mustCaisson(['cp', file, `${name}:/tmp/renamed`])
    await cluster.mustCaisson(['cp', file, `${name}:/tmp/renamed`])
    const given = ['into', 'tree/below/leaf', 'other/below/leaf', 'tree/into', 'renamed'].map((path) => `/tmp/${path}`)
    expect(await cluster.mustCaisson(['exec', name, '--', 'cat', ...given])).toBe('given\nleaf\nleaf\ngiven\ngiven\n')
    if (name === 'taker') await cluster.mustCaisson(['rm', name])
  })

  test('says why a large file cannot be written in the sandbox', async () => {
    const file = join(work, 'large')
    writeFileSync(file, Buffer.alloc(32 * 1024 * 1024))
    const refused = await cluster.caisson(['cp', file, 'worker:/no/such/directory/large'])
    expect([refused.code, refused.stderr.trim().split('\n').at(-1)]).toEqual([
      1,
      'caisson: tar ended with 2 in the sandbox: see its message above',
    ])
    expect(refused.stderr).toContain('/no/such/directory')
    rmSync(file)
  })

  test('copies into a directory that a sandbox has, and not where its links lead', async () => {
    const [shared, elsewhere] = [join(work, 'shared'), join(work, 'elsewhere')]
    for (const path of [shared, elsewhere]) mkdirSync(path)
    const script = `mkdir /out/tree; ln -s ${elsewhere} /out/report; ln -s ${elsewhere} /out/tree/inner
      mkdir -p /tmp/tree/inner; echo planted | tee /tmp/report /tmp/tree/inner/report; touch /out/ready
      while :; do for path in /out/.caisson-cp-*; do if [ -e $path ]; then touch /out/seen; fi; done; done`
    await cluster.mustCaisson([
      'run',
      '--detach',
      '--name',
      'sharer',
      '--user',
      '0',
      '-v',
      `${shared}:/out`,
      '--',
      'sh',
      '-c',
      script,
    ])
    await expect.poll(() => readdirSync(shared)).toContain('ready')
    await cluster.mustCaisson(['exec', 'sharer', '--', 'sh', '-c', 'head -c 50000000 /dev/zero >/tmp/large'])
    for (const path of [join(shared, 'report'), join(shared, 'report/below')]) {
      const { code, stderr } = await cluster.caisson(['cp', 'sharer:/tmp/report', path])
      expect([code, stderr]).toEqual([
        64,
        `caisson: ${shared}/report is a link that a sandbox may have put there, which has ${shared}: look where it leads, and name that\n`,
      ])
    }
    const merged = await cluster.caisson(['cp', 'sharer:/tmp/tree', shared])
    expect([merged.code, merged.stderr]).toEqual([
      64,
      `caisson: ${shared}/tree/inner is there already, and is no directory\n`,
    ])
    await cluster.mustCaisson(['cp', 'sharer:/tmp/large', shared])
    expect(readdirSync(elsewhere)).toEqual([])
    expect(readdirSync(shared).sort()).toEqual(['large', 'ready', 'report', 'tree'])
    expect(readdirSync(work).filter((name) => name.startsWith('.caisson-cp-'))).toEqual([])
    symlinkSync(shared, join(work, 'own'))
    await cluster.mustCaisson(['cp', 'sharer:/tmp/report', join(work, 'own/received')])
    expect(readFileSync(join(shared, 'received'), 'utf8')).toBe('planted\n')
    await cluster.mustCaisson(['rm', 'sharer'])
  })

  test('gives another sandbox what is in a directory that a sandbox has, and not what its links lead to', async () => {
    const [given, precious] = [join(work, 'given'), join(work, 'precious')]
    for (const path of [given, precious]) mkdirSync(path)
    writeFileSync(join(precious, 'key'), 'secret\n')
    const script = `mkdir /out/real; echo result >/out/real/key; ln -s ${precious} /out/results; touch /out/ready; sleep 1000`
    const giver = ['--name', 'giver', '--user', '0', '-v', `${given}:/out`]
    await cluster.mustCaisson(['run', '--detach', ...giver, '--', 'sh', '-c', script])
    await expect.poll(() => readdirSync(given)).toContain('ready')
    const { code, stderr } = await cluster.caisson(['cp', join(given, 'results/key'), 'worker:/tmp/of-a-link'])
    expect([code, stderr]).toEqual([
      64,
      `caisson: ${given}/results is a link that a sandbox may have put there, which has ${given}: look where it leads, and name that\n`,
    ])
    symlinkSync(given, join(work, 'mine'))
    await cluster.mustCaisson(['cp', join(work, 'mine/real/key'), 'worker:/tmp/of-a-directory'])
    await cluster.mustCaisson(['cp', join(given, 'results'), 'worker:/tmp/as-a-link'])
    expect(
      await cluster.mustCaisson(['exec', 'worker', '--', 'sh', '-c', 'cd /tmp; readlink as-a-link; grep . of-*']),
    ).toBe(`${precious}\nresult\n`)
    const missing = await cluster.caisson(['cp', join(work, 'no/such/file'), 'worker:/tmp'])
    expect([missing.code, missing.stderr]).toEqual([66, `caisson: ${work}/no/such/file could not be read (ENOENT)\n`])
    await cluster.mustCaisson(['rm', 'giver'])
  })

  test.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)('leaves nothing of a copy that %s ends', async (signal, code) => {
    const place = mkdtempSync(join(work, 'interrupted-'))
    await cluster.mustCaisson(['exec', 'worker', '--', 'truncate', '-s', '8G', '/tmp/endless'])
    const copy = spawn('bin/caisson', ['cp', 'worker:/tmp/endless', place], {
      env: { ...process.env, ...cluster.env },
      stdio: ['ignore', 'inherit', 'inherit'],
    })
    const exit = once(copy, 'exit')
    const received = (): string[] => readdirSync(place, { recursive: true, encoding: 'utf8' })
    await expect.poll(received).toContainEqual(expect.stringMatching(/^\.caisson-cp-.*\/endless$/))
    copy.kill(signal)
    expect(await exit).toEqual([code, null])
    expect(received()).toEqual([])
  })

  test('copies what has any name, also to another file system', async () => {
    const names = ['f.tar.gz', '[a]', 'a b', 'x*y', 'a^b', 'c$d', 'e&f', 'g,h', 'i\\j', "k'l"]
    const elsewhere = mkdtempSync('/dev/shm/caisson-cli-')
    try {
      for (const name of names) {
        writeFileSync(join(work, name), name)
        await cluster.mustCaisson(['cp', join(work, name), `worker:/tmp/odd ${name}`])
        await cluster.mustCaisson(['cp', `worker:/tmp/odd ${name}`, elsewhere])
      }
      expect(
        Object.fromEntries(names.map((name) => [name, readFileSync(join(elsewhere, `odd ${name}`), 'utf8')])),
      ).toEqual(Object.fromEntries(names.map((name) => [name, name])))
      expect(readdirSync(elsewhere).sort()).toEqual(names.map((name) => `odd ${name}`).sort())
    } finally {
      rmSync(elsewhere, { recursive: true })
    }
  })

  test('cannot be made twice', async () => {
    const outcome = await cluster.caisson(['run', '--name', 'worker', '--', 'true'])
    expect(outcome).toEqual({
      code: 1,
      stdout: '',
      stderr: "caisson: there is a sandbox worker already: 'caisson rm worker' removes it\n",
    })
  })

  test('is removed, and of a command that ran in it that is said', async () => {
    const running = spawn('bin/caisson', ['exec', 'worker', '--', 'sh', '-c', 'echo begun; exec sleep infinity'], {
      env: { ...process.env, ...cluster.env },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    const exit = once(running, 'exit')
    const said = text(running.stderr)
    await once(running.stdout, 'data')
    expect(await cluster.mustCaisson(['rm', 'worker'])).toBe('worker\n')
    expect([await exit, await said]).toEqual([
      [137, null],
      'caisson: sandbox worker was stopped while the command ran, which ended it\n',
    ])
    expect(await sandboxesNow()).toBe('')
    const again = await cluster.caisson(['rm', 'worker'])
    expect(again).toEqual({
      code: 66,
      stdout: '',
      stderr: "caisson: no sandbox worker in namespace default: 'caisson ls' lists them\n",
    })
    for (const command of [
      ['logs', 'worker'],
      ['exec', 'worker', '--', 'true'],
    ])
      expect([(await cluster.caisson(command)).code, (await cluster.caisson(command)).stderr]).toEqual([
        66,
        again.stderr,
      ])
  })
})
