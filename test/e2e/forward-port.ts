/** `kubectl port-forward`, as a user does it. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { findKubectl } from './fixture.ts'

export interface ForwardedPort extends AsyncDisposable {
  /** Of 127.0.0.1, of kubectl's choice. */
  port: number
  url: string
  /** On standard error until now. */
  said(): string
}

/**
 * Resolves when kubectl listens; rejects with what it said where it ends before.
 * @param words all of kubectl's, such as `port-forward pod/web :8080`
 */
export async function forwardPort(
  words: readonly string[],
  env: Readonly<Record<string, string>>,
): Promise<ForwardedPort> {
  const child = spawn(findKubectl() ?? 'kubectl', words, { env: { ...process.env, ...env } })
  const closed = once(child, 'close')
  let said = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said += text
  })
  const ended = closed.then(async () => {
    throw new Error(`kubectl ${words.join(' ')} ended: ${said}`)
  })
  ended.catch(() => {})
  const [line] = (await Promise.race([once(createInterface(child.stdout), 'line'), ended])) as [string]
  child.stdout.resume()
  const port = Number(/^Forwarding from 127\.0\.0\.1:(\d+) -> /.exec(line)?.[1])
  return {
    port,
    url: `http://127.0.0.1:${port}`,
    said: () => said,
    async [Symbol.asyncDispose]() {
      child.kill()
      await closed
    },
  }
}
