/** A controller as a Deployment's Pod has it: one that ends is started anew, until it is told to stop. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { CONTROLLER_NAMESPACE } from '../../packages/api/src/index.ts'
import { freePort } from '../cluster/real-cluster.ts'
import { CAISSON } from './operator-cluster.ts'

export interface ReplicaOptions {
  /** Default: `caisson controller`. */
  command?: readonly string[]
  kubeconfig: string
  env?: Record<string, string>
}

export interface Replica extends AsyncDisposable {
  /** How each of its processes ended. */
  readonly ends: readonly (number | NodeJS.Signals | null)[]
  /** What its processes said, from the first on. */
  readonly lines: readonly string[]
  /** What the Lease calls its process. */
  readonly identity: string | undefined
  signal(signal: NodeJS.Signals): void
  /** What it says of itself at /readyz: `200 ok`; `0` and why where it does not answer. */
  readiness(): Promise<string>
  /** As `kubectl scale` does it: its process is asked to end, and no other one begins. */
  [Symbol.asyncDispose](): Promise<void>
}

const FLAGS = ['--extensions', '--leader-elect', `--leader-election-namespace=${CONTROLLER_NAMESPACE}`]
/** A readiness probe waits for a second. */
const PROBE_MS = 1000

export async function startReplica(options: ReplicaOptions): Promise<Replica> {
  const { command: [program = '', ...words] = [CAISSON, 'controller'], kubeconfig, env } = options
  const port = await freePort()
  const addresses = [`--health-probe-bind-address=127.0.0.1:${port}`, '--metrics-bind-address=0']
  const ends: (number | NodeJS.Signals | null)[] = []
  const lines: string[] = []
  let stopped = false
  let child: ChildProcess
  let ended: Promise<void>

  function begin(): void {
    child = spawn(program, [...words, ...FLAGS, ...addresses], {
      env: { ...process.env, ...env, KUBECONFIG: kubeconfig },
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    if (child.stderr) createInterface({ input: child.stderr }).on('line', (line) => lines.push(line))
    ended = follow(child)
  }
  async function follow(process: ChildProcess): Promise<void> {
    const [code, signal] = await once(process, 'close')
    ends.push((code ?? signal) as number | NodeJS.Signals | null)
    if (!stopped) begin()
  }
  begin()

  return {
    ends,
    lines,
    get identity() {
      const said = lines.findLast((line) => line.includes('Waiting for the Lease'))
      return said === undefined ? undefined : / as (\S+)/.exec(said)?.[1]
    },
    signal: (signal) => void child.kill(signal),
    async readiness() {
      try {
        const answer = await fetch(`http://127.0.0.1:${port}/readyz`, { signal: AbortSignal.timeout(PROBE_MS) })
        return `${answer.status} ${(await answer.text()).trim()}`
      } catch (error) {
        return `0 ${error instanceof Error ? error.message : String(error)}`
      }
    },
    async [Symbol.asyncDispose]() {
      stopped = true
      child.kill('SIGTERM')
      await ended
    },
  }
}
