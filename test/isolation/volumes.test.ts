/** Tricks with what a sandbox shares with the machine: mounts, extended attributes, programs that make root. */
import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, test } from 'vitest'
import { type Cluster, type Outcome, run, startCluster } from '../e2e/fixture.ts'
import { apply, pod, ready } from './attackers.ts'
import { expectRefused, inPod, onMachine, type Place, PYTHON } from './controlled.ts'

const RUNTIMES = ['runsc', 'runc'] as const

/** Mounts something over a directory and writes to it; true where that is there then. */
const MOUNT = `
import ctypes, json, os, sys
os.makedirs(sys.argv[1], exist_ok=True)
libc = ctypes.CDLL(None, use_errno=True)
made = libc.mount(b"none", sys.argv[1].encode(), b"tmpfs", 0, None) == 0
if made: open(sys.argv[1] + "/planted", "w").close()
print(json.dumps(made and os.path.ismount(sys.argv[1])))
`
/** Sets each extended attribute, and prints which were taken. */
const ATTRIBUTES = `
import json, os, sys
# cap_setuid, permitted and effective.
values = {"security.capability": bytes.fromhex("0100000280000000000000000000000000000000")}
taken = []
for name in sys.argv[2:]:
    try:
        os.setxattr(sys.argv[1], name, values.get(name, b"y"))
        taken.append(name)
    except OSError: pass
print(json.dumps(taken))
`
const LIST = 'import json, os, sys\nprint(json.dumps(os.listxattr(sys.argv[1])))'
const READ = 'import json, os, sys\nprint(json.dumps(os.path.exists(sys.argv[1]) and open(sys.argv[1]).read()))'

let cluster: Cluster
let work: string
const shared = (...path: string[]): string => join(work, 'shared', ...path)
const later = (): string => shared('later')

beforeAll(async () => {
  work = mkdtempSync(join(tmpdir(), 'caisson-isolation-'))
  // Nobody has to pass through it as well.
  chmodSync(work, 0o755)
  mkdirSync(later(), { recursive: true })
  writeFileSync(shared('file'), '')
  cluster = await startCluster()
  // What admission would refuse a tenant is what is tried out.
  await cluster.mustKubectl(['label', 'namespace', 'default', 'pod-security.kubernetes.io/enforce=privileged'])
  await apply(
    cluster,
    ...RUNTIMES.flatMap((runtime) => [user(runtime, 'plain', {}), user(runtime, 'mounts', MAY_MOUNT)]),
  )
  await ready(cluster, 'default')
})
afterAll(async () => {
  await run('umount', [later()])
  await cluster[Symbol.asyncDispose]()
  rmSync(work, { recursive: true, force: true })
})

const MAY_MOUNT = { capabilities: { add: ['SYS_ADMIN'] } }

/** A Pod with a directory of the machine, as an administrator may make it. */
function user(runtime: string, name: string, securityContext: object, mount: object = {}): object {
  const volumeMounts = [{ name: 'shared', mountPath: '/shared', ...mount }]
  const main = { name: 'main', image: 'caisson.dev/host', command: ['sleep', '1000'], securityContext, volumeMounts }
  return pod('default', `${runtime}-${name}`, {
    spec: {
      ...(runtime === 'runc' && { runtimeClassName: 'runc' }),
      containers: [main],
      volumes: [{ name: 'shared', hostPath: { path: join(work, 'shared') } }],
    },
  })
}

describe.each(RUNTIMES)('under %s', (runtime) => {
  const place = (name: string): Place => inPod(cluster, 'default', `${runtime}-${name}`)

  test('what a sandbox mounts within a volume is not mounted on the machine', async () => {
    const mounted = await place('mounts')(MOUNT, `/shared/${runtime}`)
    expectRefused({
      probe: 'a mount',
      control: mounted === true,
      attack:
        existsSync(shared(runtime, 'planted')) ||
        readFileSync('/proc/self/mountinfo', 'utf8').includes(shared(runtime)),
    })
  })

  test('what the machine mounts within a volume later is not given to a sandbox', async () => {
    const secret = join(later(), 'secret')
    if (!existsSync(secret)) {
      execFileSync('mount', ['-t', 'tmpfs', 'none', later()])
      writeFileSync(secret, 'secret')
    }
    expectRefused({
      probe: 'a later mount',
      control: (await onMachine(READ, secret)) === 'secret',
      attack: (await place('plain')(READ, '/shared/later/secret')) === 'secret',
    })
  })

  test.each(['HostToContainer', 'Bidirectional'])('no mount propagates by %s', async (mountPropagation) => {
    const name = mountPropagation.toLowerCase()
    await apply(
      cluster,
      user(runtime, 'none', { privileged: true }, { mountPropagation: 'None' }),
      user(runtime, name, { privileged: true }, { mountPropagation }),
    )
    const waits = (pod: string, field: string): Promise<string> =>
      cluster.mustKubectl(['wait', `pod/${runtime}-${pod}`, '--timeout=30s', `--for=jsonpath=${field}`])
    await waits('none', '{.status.phase}=Running')
    await waits(name, '{.status.containerStatuses[0].state.waiting.reason}=CreateContainerConfigError')
  })
})

describe('extended attributes that mean something to the machine’s kernel', () => {
  const names = ['security.capability', 'trusted.overlay.opaque', 'trusted.caisson'] as const
  test.each(names)('%s is not set through a volume', async (name) => {
    const own = join(work, 'own')
    writeFileSync(own, '')
    await onMachine(ATTRIBUTES, own, name)
    await inPod(cluster, 'default', 'runsc-plain')(ATTRIBUTES, '/shared/file', name)
    const has = async (path: string): Promise<boolean> => ((await onMachine(LIST, path)) as string[]).includes(name)
    expectRefused({ probe: name, control: await has(own), attack: await has(shared('file')) })
  })
})

describe('a program in a volume that makes whoever runs it root', () => {
  test('does not make a sandbox of caisson run root', async () => {
    copyFileSync('/usr/bin/id', shared('id'))
    chmodSync(shared('id'), 0o4755)
    const nobody = ['--reuid=65534', '--regid=65534', '--clear-groups', shared('id'), '-u']
    const machine = await run('setpriv', nobody)
    const sandbox = await cluster.caisson(['run', '-v', `${shared()}:/shared`, '--', '/shared/id', '-u'])
    expectRefused({ probe: 'set-user-ID', control: machine.stdout === '0\n', attack: sandbox.stdout !== '65534\n' })
  })

  test('does not do so by its capabilities', async () => {
    for (const name of ['python', 'capable']) copyFileSync(PYTHON, shared(name))
    await onMachine(ATTRIBUTES, shared('capable'), 'security.capability')
    const become = 'import os\ntry: os.setuid(0)\nexcept OSError: pass\nprint(os.getuid())'
    const nobody = ['--reuid=65534', '--regid=65534', '--clear-groups', shared('capable'), '-c', become]
    const inSandbox = (name: string): Promise<Outcome> =>
      cluster.caisson(['run', '-v', `${shared()}:/shared`, '--', `/shared/${name}`, '-c', become])
    const machine = await run('setpriv', nobody)
    const [plain, capable] = [await inSandbox('python'), await inSandbox('capable')]
    expectRefused({
      probe: 'file capabilities',
      control: machine.stdout === '0\n' && plain.stdout === '65534\n',
      // Where the capability cannot be had the program may not even begin.
      attack: !['65534\n', ''].includes(capable.stdout),
    })
  })
})
