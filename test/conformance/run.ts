/**
 * Runs Kubernetes' own conformance tests against an embedded cluster of their own and writes docs/conformance.md.
 *
 *   node test/conformance/run.ts [--focus REGEX] [--sig SIG] [--not-passing] [--parallel N] [--limit SECONDS] [--minutes N]
 *
 * Results are kept outside of the repository, so that runs of parts add up; --minutes ends a run, --report only writes.
 */
import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { buildConformance, buildControlPlane, hasGo, NO_GO } from '../cluster/build-control-plane.ts'
import { startCluster } from '../e2e/fixture.ts'
import { buildImages, buildJoinedServer } from './images.ts'
import { latestResults, record } from './results.ts'
import { listSpecs, type RunSpecsOptions, runSpecs, type Spec, type SpecResult } from './specs.ts'
import { writeReport } from './write-report.ts'

/** Specs of one process: its start takes seconds, and all behind one that takes too long have to wait for another. */
const AT_ONCE = 8

export interface RunOptions extends RunSpecsOptions {
  parallel: number
  onResult: (result: SpecResult) => void
}

/** Runs specs in several processes, those that want the cluster for themselves afterwards, one at a time. */
export async function runInParallel(specs: readonly Spec[], options: RunOptions): Promise<void> {
  await runLanes(
    specs.filter((spec) => !spec.serial),
    options,
  )
  await runLanes(
    specs.filter((spec) => spec.serial),
    { ...options, parallel: 1 },
  )
}

async function runLanes(specs: readonly Spec[], options: RunOptions): Promise<void> {
  const waiting = specs.map((spec) => spec.name)
  const lane = async (): Promise<void> => {
    while (waiting.length > 0 && !options.signal.aborted) {
      const share = Math.ceil(waiting.length / options.parallel / 2)
      const names = waiting.splice(0, Math.min(AT_ONCE, share))
      const results = await runSpecs(names, options)
      // What the end of the whole run has interrupted says nothing of the spec.
      for (const result of results) if (!options.signal.aborted || result.outcome === 'passed') options.onResult(result)
      const done = new Set(results.map((result) => result.name))
      waiting.push(...names.filter((name) => !done.has(name)))
    }
  }
  await Promise.all(Array.from({ length: options.parallel }, lane))
}

/** What is checked out, in few characters. */
function commit(): string {
  const git = (...args: string[]) => execFileSync('git', args, { cwd: import.meta.dirname, encoding: 'utf8' }).trim()
  const changed = git('status', '--porcelain', '--', ':/packages') !== ''
  return `${git('rev-parse', '--short', 'HEAD')}${changed ? '+' : ''}`
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      focus: { type: 'string', default: '' },
      sig: { type: 'string', default: '' },
      'not-passing': { type: 'boolean', default: false },
      parallel: { type: 'string', default: '4' },
      limit: { type: 'string', default: '300' },
      minutes: { type: 'string', default: '600' },
      report: { type: 'boolean', default: false },
    },
  })
  const directory = await buildConformance()
  const e2eTest = join(directory, 'e2e.test')
  const all = listSpecs(e2eTest)
  if (values.report) return writeReport(all)
  const known = latestResults()
  const specs = all.filter(
    ({ name, sig }) =>
      new RegExp(values.focus).test(name) &&
      (values.sig === '' || values.sig === sig) &&
      !(values['not-passing'] && known.get(name)?.outcome === 'passed'),
  )
  // A run that ends early has then run what nothing is known of.
  specs.sort((one, other) => Number(known.has(one.name)) - Number(known.has(other.name)))
  const archives = [await buildImages()]
  if (specs.some(({ name }) => name.includes('Sample API Server'))) archives.push(await buildJoinedServer())
  const kubectl = join(await buildControlPlane('kubectl'), 'kubectl')
  await using cluster = await startCluster({ archives })
  const state = commit()
  let count = 0
  await runInParallel(specs, {
    e2eTest,
    kubectl,
    kubeconfig: join(cluster.dataDirectory, 'kubeconfig'),
    limitMs: Number(values.limit) * 1000,
    parallel: Number(values.parallel),
    signal: AbortSignal.any([AbortSignal.timeout(Math.round(Number(values.minutes) * 60_000)), interrupted()]),
    onResult(result) {
      record(result, state)
      console.log(`${++count}/${specs.length} ${result.outcome} ${result.seconds} s ${result.name}`)
      if (result.message) console.log(`    ${result.message.trim().split('\n').slice(0, 6).join('\n    ')}`)
    },
  })
  writeReport(all)
}

function interrupted(): AbortSignal {
  const controller = new AbortController()
  process.once('SIGINT', () => controller.abort())
  process.once('SIGTERM', () => controller.abort())
  return controller.signal
}

if (import.meta.main) {
  if (!hasGo()) {
    console.error('Go is not installed, so the conformance tests cannot be built')
    process.exit(NO_GO)
  }
  await main()
}
