/** `caisson controller` as a process, by what it says. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { CAISSON } from './operator-cluster.ts'

export interface ControllerProcess {
  child: ChildProcess
  lines: string[]
  /** Resolves with the first line of its log, from the beginning, that has the text. */
  line(text: string): Promise<string>
  /** Code, or the signal that ended it. */
  ended: Promise<number | NodeJS.Signals | null>
  /** The answer at a path of its probes or metrics. */
  ask(port: 'probes' | 'metrics', path: string): Promise<{ status: number; body: string }>
}

export interface ControllerProcessOptions {
  /** In errors. */
  name: string
  flags: readonly string[]
  kubeconfig: string
  env?: Record<string, string>
}

const LIMIT_MS = 30_000
const ADDRESSES = ['-health-probe-bind-address=127.0.0.1:0', '--metrics-bind-address', '127.0.0.1:0']

export function startController({ name, flags, kubeconfig, env }: ControllerProcessOptions): ControllerProcess {
  const child = spawn(CAISSON, ['controller', ...ADDRESSES, ...flags], {
    env: { ...process.env, ...env, KUBECONFIG: kubeconfig },
    stdio: ['ignore', 'inherit', 'pipe'],
  })
  const lines: string[] = []
  const looks = new Set<() => void>()
  createInterface({ input: child.stderr }).on('line', (line) => {
    lines.push(line)
    for (const look of looks) look()
  })
  const ended = once(child, 'close').then(([code, signal]) => (code ?? signal) as number | NodeJS.Signals | null)

  function line(text: string): Promise<string> {
    const { promise, resolve, reject } = Promise.withResolvers<string>()
    const say = (what: string) => reject(new Error(`${name} ${what} without saying ${text}:\n${lines.join('\n')}`))
    const timer = setTimeout(() => say(`went ${LIMIT_MS} ms`), LIMIT_MS)
    const look = (): void => {
      const found = lines.find((line) => line.includes(text))
      if (found !== undefined) resolve(found)
    }
    looks.add(look)
    look()
    void ended.then(() => say('ended'))
    return promise.finally(() => {
      clearTimeout(timer)
      looks.delete(look)
    })
  }

  return {
    child,
    lines,
    line,
    ended,
    async ask(port, path) {
      const said = await line('Probes are answered')
      const [, probes, metrics] = /on port (\d+), metrics on port (\d+)/.exec(said) ?? []
      const answer = await fetch(`http://127.0.0.1:${port === 'probes' ? probes : metrics}${path}`)
      return { status: answer.status, body: await answer.text() }
    },
  }
}
