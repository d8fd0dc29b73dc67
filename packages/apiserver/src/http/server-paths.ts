/** What is served of the server itself: its version, its health, its metrics, and which paths there are. */
import type { PathHandler } from '../pipeline.ts'
import type { Registry } from '../registry/registry.ts'
import { healthPaths } from './health.ts'
import type { Metrics } from './metrics.ts'
import { pathIndex } from './path-index.ts'

export const VERSION = {
  major: '1',
  minor: '34',
  emulationMajor: '1',
  emulationMinor: '34',
  minCompatibilityMajor: '1',
  minCompatibilityMinor: '33',
  gitVersion: 'v1.34.4+caisson',
  gitCommit: '',
  gitTreeState: 'clean',
  buildDate: '1970-01-01T00:00:00Z',
  goVersion: 'none',
  compiler: 'none',
  platform: `linux/${process.arch === 'x64' ? 'amd64' : process.arch}`,
} as const

export interface ServerPathsOptions {
  registry: Registry
  metrics: Pick<Metrics, 'text' | 'contentType'>
  /** What else `/metrics` tells, in the text format of Prometheus. */
  moreMetrics: (() => Promise<string>) | undefined
  /** Why nothing can be stored. */
  storageFailure(): string | undefined
  isClosing(): boolean
  /** Whether anybody answers there. */
  isServed(path: string): boolean
}

export function serverPaths(options: ServerPathsOptions): ReadonlyMap<string, PathHandler> {
  const { registry, metrics, moreMetrics, storageFailure, isClosing, isServed } = options
  const alive = [
    { name: 'ping', run: () => undefined },
    { name: 'storage', run: storageFailure },
  ]
  const ready = [...alive, { name: 'shutdown', run: () => (isClosing() ? 'the server is shutting down' : undefined) }]
  const version: PathHandler = () => ({ status: 200, body: VERSION })
  const paths: ReadonlyMap<string, PathHandler> = new Map<string, PathHandler>([
    ['/version', version],
    ['/', pathIndex(registry, () => [...paths.keys()], isServed)],
    ...healthPaths('healthz', ready),
    ...healthPaths('livez', alive),
    ...healthPaths('readyz', ready),
    [
      '/metrics',
      async () => {
        const texts = await Promise.all([metrics.text(), moreMetrics?.() ?? ''])
        return { status: 200, body: texts.join(''), contentType: metrics.contentType }
      },
    ],
  ])
  // Served, and not listed.
  return new Map([...paths, ['/version/', version]])
}
