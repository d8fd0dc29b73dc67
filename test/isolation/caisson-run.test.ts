/** What a sandbox of `caisson run` is, each beside the same on the machine or where it was asked for. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Cluster, type Outcome, run, startCluster } from '../e2e/fixture.ts'
import { expectRefused, PYTHON } from './controlled.ts'

let cluster: Cluster
let work: string
beforeAll(async () => {
  work = mkdtempSync(join(tmpdir(), 'caisson-isolation-'))
  cluster = await startCluster()
  await cluster.mustCaisson(['run', '--detach', '--name', 'ours', '--', 'sleep', '1000'])
  await cluster.mustKubectl(['wait', '--for=condition=Ready', 'pod/ours', '--timeout=60s'])
})
afterAll(async () => {
  await cluster[Symbol.asyncDispose]()
  rmSync(work, { recursive: true, force: true })
})

const ours = (...command: string[]): Promise<Outcome> => cluster.caisson(['exec', 'ours', '--', ...command])
const here = (...[command = '', ...args]: string[]): Promise<Outcome> => run(command, args)

/** The fields of /proc/self/status that say what a process may do. */
async function rights(where: typeof ours): Promise<Record<string, string>> {
  const { stdout } = await where('cat', '/proc/self/status')
  const fields = stdout.split('\n').map((line) => line.split(/:\s+/))
  const wanted = ['Uid', 'Gid', 'CapEff', 'CapPrm', 'CapBnd', 'NoNewPrivs']
  return Object.fromEntries(fields.filter(([name = '']) => wanted.includes(name)).map(([name, value]) => [name, value]))
}

test('it is nobody, without capabilities', async () => {
  const machine = await rights(here)
  const sandbox = await rights(ours)
  expectRefused({
    probe: 'capabilities',
    control: machine['Uid']!.startsWith('0\t') && BigInt(`0x${machine['CapEff']}`) > 0n,
    attack: BigInt(`0x${sandbox['CapEff']}`) > 0n,
  })
  expect(sandbox).toMatchObject({
    Uid: '65534\t65534\t65534\t65534',
    Gid: '65534\t65534\t65534\t65534',
    CapEff: '0000000000000000',
    CapPrm: '0000000000000000',
    CapBnd: '0000000000000000',
  })
})

test('no setuid program makes it root', async () => {
  // Waits for a password, as root where setuid counts.
  const script = `
import os, subprocess, sys
def nobody():
    if os.getuid() == 0:
        os.setgroups([]); os.setgid(65534); os.setuid(65534)
su = subprocess.Popen(["/usr/bin/su", "-c", "true"], stdin=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=nobody)
said = su.stderr.read(8)
with open(f"/proc/{su.pid}/status") as status:
    print([line.split()[2] for line in status if line.startswith("Uid:")][0])
su.stdin.close()
su.wait()
`
  const [sandbox, machine] = [await ours(PYTHON, '-c', script), await here(PYTHON, '-c', script)]
  expectRefused({ probe: 'su', control: machine.stdout === '0\n', attack: sandbox.stdout !== '65534\n' })
})

test('its view of the machine is read-only', async () => {
  const script = `
import os, sys
for directory in ["/usr", "/usr/bin", "/bin", "/lib", "/etc", "/usr/local"]:
    path = os.path.join(directory, sys.argv[1])
    try:
        open(path, "w").close()
        os.unlink(path)
        print(directory)
    except OSError:
        pass
`
  const [sandbox, machine] = await Promise.all(
    [ours, here].map((where) => where(PYTHON, '-c', script, '.caisson-probe')),
  )
  const written = machine!.stdout.trim().split('\n')
  expectRefused({ probe: 'writing', control: written.length === 6, attack: sandbox!.stdout.trim() !== '' })
})

test('what root in a sandbox writes over the view stays in the sandbox', async () => {
  const path = '/usr/bin/.caisson-probe'
  const script = `import os;open("${path}","w").write("x");print(os.path.exists("${path}"))`
  const asked = await cluster.caisson(['run', '--user', '0', '--', PYTHON, '-c', script])
  const found = await here('sh', '-c', `test -e ${path} && rm ${path} && echo found`)
  const seen = await ours('test', '-e', path)
  expect([found.stdout, seen.code]).toEqual(['', 1])
  expect(['True\n', '']).toContain(asked.stdout)
})

test('without a network it has nothing but its own loopback', async () => {
  const script = 'import socket;print(sorted(name for _, name in socket.if_nameindex()))'
  const sandbox = await cluster.caisson(['run', '--network', 'none', '--', PYTHON, '-c', script])
  const machine = await here(PYTHON, '-c', script)
  expectRefused({
    probe: 'interfaces',
    control: machine.stdout.includes(','),
    attack: !["['lo']\n", '[]\n'].includes(sandbox.stdout),
  })
})

test('it gets of the environment only what it was given', async () => {
  const given = ['run', '-e', 'GIVEN=planted-given', '--', 'env']
  const { stdout } = await cluster.caisson(given, { env: { KEPT: 'planted-kept' } })
  expectRefused({
    probe: 'environment',
    control: stdout.includes('GIVEN=planted-given'),
    attack: stdout.includes('planted-kept') || stdout.includes('CAISSON') || stdout.includes('KUBECONFIG'),
  })
})

test.each([
  ['its first process', (command: string[]) => cluster.caisson(['run', '--', ...command])],
  ['what is run in it', (command: string[]) => ours(...command)],
])('%s is handed no open file beyond its three', async (_what, start) => {
  const script =
    'import os;print([n for n in map(int, os.listdir("/proc/self/fd")) if n > 2 and os.path.exists(f"/proc/self/fd/{n}")])'
  // The control hands one more over, by way of a shell.
  const machine = await here('bash', '-c', `exec 9</etc/passwd; ${PYTHON} -c '${script}'`)
  const { stdout } = await start([PYTHON, '-c', script])
  expectRefused({ probe: 'open files', control: machine.stdout.includes('9'), attack: stdout !== '[]\n' })
})

test('it has no token of the API, and a Pod that asks for one has', async () => {
  const look = ['sh', '-c', 'cat /var/run/secrets/kubernetes.io/serviceaccount/token']
  await cluster.mustKubectl(['run', 'asks', '--image=caisson.dev/host', '--command', '--', 'sleep', '1000'])
  await cluster.mustKubectl(['wait', '--for=condition=Ready', 'pod/asks', '--timeout=60s'])
  const asks = await cluster.kubectl(['exec', 'asks', '--', ...look])
  expectRefused({
    probe: 'ServiceAccount token',
    control: asks.stdout.split('.').length === 3,
    attack: (await ours(...look)).stdout !== '',
  })
})

test('it writes to a directory that it is given, and not to one that it is given to read', async () => {
  writeFileSync(join(work, 'kept'), 'kept')
  const write = (mode: string): Promise<Outcome> =>
    cluster.caisson(['run', '--user', '0', '-v', `${work}:/data${mode}`, '--', 'sh', '-c', 'echo new >/data/kept'])
  await write(':ro')
  const readOnly = readFileSync(join(work, 'kept'), 'utf8')
  await write('')
  expectRefused({
    probe: 'writing to a volume',
    control: readFileSync(join(work, 'kept'), 'utf8') === 'new\n',
    attack: readOnly !== 'kept',
  })
})
