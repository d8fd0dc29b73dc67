/** `/healthz`, `/livez`, `/readyz`: plain `ok`, or each check with `?verbose`, or one of them. */
import type { PathHandler } from '../pipeline.ts'

export interface HealthCheck {
  name: string
  /** A sentence that says what is wrong; undefined where all is well. */
  run(): string | undefined
}

/** `/livez`, and each check by itself: `/livez/ping`. */
export function healthPaths(endpoint: string, checks: readonly HealthCheck[]): Array<[path: string, PathHandler]> {
  return [
    [`/${endpoint}`, healthHandler(endpoint, checks)],
    ...checks.map(({ name, run }): [string, PathHandler] => [
      `/${endpoint}/${name}`,
      () => {
        const wrong = run()
        return wrong === undefined
          ? { status: 200, body: 'ok' }
          : { status: 500, body: `internal server error: ${wrong}\n` }
      },
    ]),
  ]
}

function healthHandler(endpoint: string, checks: readonly HealthCheck[]): PathHandler {
  return ({ query }) => {
    const results = checks.map(({ name, run }) => ({ name, wrong: run() }))
    const healthy = results.every(({ wrong }) => wrong === undefined)
    if (healthy && query.verbose === undefined) return { status: 200, body: 'ok' }
    const lines = results.map(({ name, wrong }) =>
      wrong === undefined ? `[+]${name} ok` : `[-]${name} failed: ${wrong}`,
    )
    lines.push(`${endpoint} check ${healthy ? 'passed' : 'failed'}`)
    return { status: healthy ? 200 : 500, body: `${lines.join('\n')}\n` }
  }
}
