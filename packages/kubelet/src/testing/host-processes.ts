/**
 * For tests of streaming: `exec` and `attach` start real processes on this machine instead of in a container, and
 * `connect` opens real connections to its loopback.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect as connectTcp } from 'node:net'
import type { ExecSpec, ProcessStreams, TerminalSize } from '@caisson/runtime'
import type { NodeApiOptions } from '../streaming/node-api.ts'

type ServedRuntime = NodeApiOptions['runtime']

export interface HostProcesses extends ServedRuntime {
  /** Sizes that terminals were given, in order. */
  sizes: TerminalSize[]
  /** Pids of processes that were started, running or not. */
  pids: number[]
}

/** @param attached what `attach` starts, in place of joining a container's process */
export function createHostProcesses(attached: readonly string[] = ['cat']): HostProcesses {
  const sizes: TerminalSize[] = []
  const pids: number[] = []

  async function start(spec: Pick<ExecSpec, 'args' | 'stdin' | 'signal'>): Promise<ProcessStreams> {
    const [command = '', ...args] = spec.args
    const child = spawn(command, args)
    if (!spec.stdin) child.stdin.end()
    await once(child, 'spawn')
    const exited = once(child, 'close') as Promise<[number | null, NodeJS.Signals | null]>
    pids.push(child.pid ?? 0)
    spec.signal?.addEventListener('abort', () => child.kill('SIGKILL'))
    return {
      stdin: spec.stdin ? child.stdin : undefined,
      stdout: child.stdout,
      stderr: child.stderr,
      resize: (size) => sizes.push(size),
      exit: exited.then(([code]) => ({ exitCode: code ?? 137 })),
      async [Symbol.asyncDispose]() {
        child.kill('SIGKILL')
        // A process that was killed with output unread closes only once that is given up.
        child.stdout.destroy()
        child.stderr.destroy()
        await exited
      },
    }
  }

  return {
    sizes,
    pids,
    exec: (_containerId, spec) => start(spec),
    // Without a network of its own: its ports are on the loopback.
    get: async () => ({ ip: undefined }),
    attach: () => start({ args: [...attached], stdin: true }),
    async connect(_sandboxId, port, signal) {
      const socket = connectTcp({ host: '127.0.0.1', port, allowHalfOpen: true, ...(signal && { signal }) })
      await once(socket, 'connect')
      return socket
    },
  }
}
