/** For tests: sandboxes, and a machine elsewhere, that serve ports and ask each other for them with real packets. */
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { createRuntime, defaultToolsDirectory, installTools, type Runtime } from '@caisson/runtime'
import type { Protocol } from '../policy/policy-model.ts'

const PYTHON = '/usr/bin/python3'

export interface Probe {
  to: string
  protocol: Protocol
  port: number
  /** Whether an answer is waited for: a datagram that is refused is not always told so. */
  expected: boolean
}

export interface ProbedNetwork extends AsyncDisposable {
  runtime: Runtime
  /** A sandbox that serves; gives its address. */
  start(id: string): Promise<string>
  /** Sends one packet of each; which of them were answered, and what else came of it where it was neither that nor refused. */
  send(id: string, probes: readonly Probe[]): Promise<Array<boolean | string>>
}

/** Every port that is asked for is served, so that only rules can be in the way. */
const SERVE = `
import json, selectors, socket, sys
waiting = selectors.DefaultSelector()
served = [(host, *port) for host in sys.argv[2:] for port in json.loads(sys.argv[1])]
for host, protocol, port in served:
    kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
    s = socket.socket(socket.AF_INET, kind)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind((host, port))
    if protocol == "tcp": s.listen(64)
    waiting.register(s, selectors.EVENT_READ, protocol)
print("ready", flush=True)
while True:
    for key, _ in waiting.select():
        if key.data == "tcp": key.fileobj.accept()[0].close()
        else: key.fileobj.sendto(*key.fileobj.recvfrom(100))
`

/**
 * Datagrams first, those that should be refused before the others: when the last expected answer is there, what was let
 * through of them has come back too. A connection is made or reset; of one that is neither it says why.
 */
const ASK = `
import json, select, socket, sys
probes = json.loads(sys.argv[1])
reached = [False] * len(probes)
sockets = {}
for at in sorted(range(len(probes)), key=lambda at: probes[at]["expected"]):
    if probes[at]["protocol"] != "udp": continue
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sockets[s] = at
    try:
        s.connect((probes[at]["to"], probes[at]["port"]))
        s.send(b"x")
    except OSError: pass
for at, probe in enumerate(probes):
    if probe["protocol"] != "tcp": continue
    try:
        socket.create_connection((probe["to"], probe["port"]), 5).close()
        reached[at] = True
    except ConnectionRefusedError: pass
    except OSError as error: reached[at] = str(error)
def take(seconds):
    ready = select.select(list(sockets), [], [], seconds)[0]
    for s in ready:
        try: reached[sockets[s]] = s.recv(100) == b"x"
        except OSError: pass
        del sockets[s]
    return ready
while any(probes[at]["expected"] for at in sockets.values()) and take(5): pass
while take(0): pass
print(json.dumps(reached))
`

/** Elsewhere: an end of a pair of interfaces in a network namespace, which has these addresses. */
export interface Outside {
  namespace: string
  link: string
  near: string
  addresses: readonly string[]
}

export async function startProbedNetwork(
  ports: ReadonlyArray<[Protocol, number]>,
  { namespace, link, near, addresses }: Outside,
): Promise<ProbedNetwork> {
  await using made = new AsyncDisposableStack()
  await installTools(defaultToolsDirectory(), { tools: ['runsc', 'runc', 'nft'] })
  const stateDirectory = await mkdtemp(join(tmpdir(), 'caisson-probes-'))
  made.defer(() => rm(stateDirectory, { recursive: true, force: true }))
  const runtime = made.use(await createRuntime({ stateDirectory }))
  await runtime.recover()
  await runtime.network.open()
  ip(`netns add ${namespace}`)
  made.defer(() => ip(`netns del ${namespace}`))
  ip(`link add ${link} type veth peer name eth0 netns ${namespace}`)
  made.defer(() => ip(`link del ${link}`))
  ip(`addr add ${near}/32 dev ${link}`, `link set ${link} up`)
  // As an interface of a default route has it.
  writeFileSync(`/proc/sys/net/ipv4/conf/${link}/forwarding`, '1')
  ip(...addresses.map((address) => `-n ${namespace} addr add ${address}/32 dev eth0`))
  ip(`-n ${namespace} link set eth0 up`, `-n ${namespace} route add ${near} dev eth0`)
  ip(`-n ${namespace} route add default via ${near}`, ...addresses.map((each) => `route add ${each}/32 dev ${link}`))
  const server = spawn('ip', ['netns', 'exec', namespace, PYTHON, '-c', SERVE, JSON.stringify(ports), ...addresses])
  made.defer(async () => {
    const ended = once(server, 'close')
    server.kill('SIGKILL')
    await ended
  })
  await once(server.stdout, 'data')
  const stack = made.move()
  const container = { cwd: '/', env: {}, mounts: [], labels: {}, limits: {}, capabilities: ['CAP_NET_BIND_SERVICE'] }
  const flags = { readOnlyRootfs: false, noNewPrivileges: true, privileged: false, tty: false }

  return {
    runtime,
    async start(id) {
      const common = { labels: {}, limits: {}, hostname: id, shared: false }
      const { ip: address = '' } = await runtime.createSandbox({
        id,
        handler: 'runc',
        network: { kind: 'pod' },
        ...common,
      })
      stack.defer(() => runtime.removeSandbox(id))
      await runtime.startContainer({
        ...container,
        ...flags,
        id: `${id}-1`,
        sandboxId: id,
        image: 'caisson.dev/host',
        args: [PYTHON, '-c', SERVE, JSON.stringify(ports), '0.0.0.0'],
        user: { uid: 0, gid: 0, additionalGids: [] },
        // Its output waits for whoever attaches first.
        stdin: true,
        stdinOnce: true,
        logPath: join(stateDirectory, `${id}.log`),
      })
      await using attached = await runtime.attach(`${id}-1`)
      await once(attached.stdout, 'data')
      return address
    },
    async send(id, probes) {
      const args = [PYTHON, '-c', ASK, JSON.stringify(probes)]
      await using streams = await runtime.exec(`${id}-1`, { args, env: {}, tty: false, stdin: false })
      const [said, errors] = await Promise.all([text(streams.stdout), streams.stderr ? text(streams.stderr) : ''])
      if (said === '') throw new Error(`the probe in ${id} said nothing but ${errors}`)
      return JSON.parse(said) as Array<boolean | string>
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  }
}

function ip(...lines: string[]): void {
  for (const line of lines) execFileSync('ip', line.split(' '))
}
