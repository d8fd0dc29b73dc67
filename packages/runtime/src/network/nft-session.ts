import { type ChildProcess, spawn } from 'node:child_process'
import { RuntimeError } from '../runtime-error.ts'
import { type Tool, toolEnvironment } from '../tools/tools.ts'

/**
 * One `nft -i` that lives as long as this process: a transaction costs 0.3 ms with it, and 8 ms with an nft of its own.
 * Its input ends with this process, however that ends, and so does it.
 */
export interface NftSession extends AsyncDisposable {
  /**
   * Runs commands as one transaction: the kernel takes all of them or none. Gives what nft said; rejects with code
   * `network` where that is a complaint. One at a time, in order.
   */
  run(commands: readonly string[]): Promise<string>
}

// Says one known line without asking the kernel anything: what came before it belongs to the transaction before.
const FENCE_COMMAND = 'describe meta mark'
const FENCE = /meta expression, datatype mark \(packet mark\)[^\n]*\n/
// What nft says of one transaction: it repeats the line that it refuses, and lists some 60 bytes for each sandbox.
const OUTPUT_LIMIT = 8 * 1024 * 1024

export function openNftSession(tool: Tool): NftSession {
  let running: { child: ChildProcess; closed: Promise<void> } | undefined
  let answer: { resolve(said: string): void; reject(error: Error): void } | undefined
  let said = ''
  let last: Promise<unknown> = Promise.resolve()

  function start(): ChildProcess {
    // Both streams in one, so that an error cannot arrive after the line that ends it.
    const child = spawn('/bin/sh', ['-c', 'exec "$0" -i 2>&1', tool.path], {
      stdio: ['pipe', 'pipe', 'ignore'],
      env: toolEnvironment(tool),
    })
    child.unref()
    const { promise: closed, resolve } = Promise.withResolvers<void>()
    const end = (cause?: Error): void => {
      if (running?.child === child) running = undefined
      const reason = `nft ended while it was to change the rules of the pod network: ${firstError(said) || 'it said nothing'}`
      answer?.reject(new RuntimeError('network', reason, { cause }))
      answer = undefined
      said = ''
      resolve()
    }
    child.once('error', end).once('close', () => end())
    child.stdin?.on('error', () => {})
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      said = (said + text).slice(-OUTPUT_LIMIT)
      const fence = FENCE.exec(said)
      if (!fence) return
      const before = said.slice(0, fence.index)
      said = said.slice(fence.index + fence[0].length)
      answer?.resolve(before)
      answer = undefined
    })
    running = { child, closed }
    return child
  }

  async function transact(line: string): Promise<string> {
    const child = running?.child ?? start()
    const { promise, resolve, reject } = Promise.withResolvers<string>()
    answer = { resolve, reject }
    // Idle it keeps no process alive; while it is asked, who asked waits.
    keepAlive(child, true)
    child.stdin?.write(`${line}\n${FENCE_COMMAND}\n`)
    const told = await promise.finally(() => keepAlive(child, false))
    const complaint = firstError(told)
    if (complaint !== '')
      throw new RuntimeError('network', `nft refused a change of the rules of the pod network: ${complaint}`)
    return told
  }

  return {
    run(commands) {
      const broken = commands.find((command) => /[\n\r]/.test(command))
      if (broken !== undefined)
        return Promise.reject(
          new RuntimeError('network', `a rule of one line was expected, found ${JSON.stringify(broken)}`),
        )
      const result = last.then(() => transact(commands.join('; ')))
      last = result.catch(() => {})
      return result
    },
    async [Symbol.asyncDispose]() {
      await last
      const closing = running
      closing?.child.stdin?.end()
      await closing?.closed
    },
  }
}

function keepAlive(child: ChildProcess, alive: boolean): void {
  for (const part of [child, child.stdin, child.stdout] as Array<{ ref?(): void; unref?(): void } | null>) {
    if (alive) part?.ref?.()
    else part?.unref?.()
  }
}

/** nft says what is wrong, then repeats the command with a mark below it. */
function firstError(said: string): string {
  const lines = said.split('\n').map((line) => line.trim())
  const at = lines.findIndex((line) => line.includes('rror'))
  return at < 0
    ? ''
    : lines
        .slice(at, at + 2)
        .join(' ')
        .slice(0, 300)
}
