/** The specs of Kubernetes' conformance suite: which there are, and a run of some of them by one process of `e2e.test`. */
import { execFileSync, spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export interface Spec {
  /** As ginkgo's focus sees it: the texts of its containers and its own, with a blank between. */
  name: string
  /** Such as `api-machinery`. */
  sig: string
  /** Wants the cluster for itself. */
  serial: boolean
}

export type Outcome = 'passed' | 'failed' | 'skipped' | 'timed out'

export interface SpecResult {
  name: string
  outcome: Outcome
  seconds: number
  /** What the spec said of its failure, or why it skipped itself; empty where it passed. */
  message: string
  /** All that the spec wrote. */
  output: string
}

/** One entry of ginkgo's JSON report; what is not named here is not looked at. */
interface SpecReport {
  ContainerHierarchyTexts: string[] | null
  LeafNodeType: string
  LeafNodeText: string
  State: string
  /** Nanoseconds. */
  RunTime: number
  Failure?: { Message?: string; Location?: { FileName?: string; LineNumber?: number } }
  CapturedGinkgoWriterOutput?: string
}

/** How many conformance specs v1.34 has (Kubernetes' test/conformance/testdata/conformance.yaml). */
const SPECS = 424

/** All conformance specs of an `e2e.test`, sorted by name, by a dry run. */
export function listSpecs(e2eTest: string): Spec[] {
  const work = mkdtempSync(join(tmpdir(), 'caisson-conformance-'))
  try {
    const report = join(work, 'report.json')
    execFileSync(
      e2eTest,
      ['--ginkgo.dry-run', '--ginkgo.focus=\\[Conformance\\]', `--ginkgo.json-report=${report}`, '--ginkgo.succinct'],
      { cwd: work, stdio: ['ignore', 'ignore', 'pipe'], maxBuffer: 1 << 28 },
    )
    const specs = readReport(report)
      .filter((each) => each.LeafNodeType === 'It' && each.State !== 'skipped')
      .map((each) => describeSpec(nameOf(each)))
    if (specs.length !== SPECS)
      throw new Error(`expected ${SPECS} conformance specs in ${e2eTest}, found ${specs.length}`)
    return specs.sort((one, other) => (one.name < other.name ? -1 : 1))
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
}

export function describeSpec(name: string): Spec {
  const sig = /^\[sig-([a-z-]+)\]/.exec(name)?.[1]
  if (sig === undefined) throw new Error(`expected a spec's name to begin with its SIG, found "${name}"`)
  return { name, sig, serial: name.includes('[Serial]') }
}

export interface RunSpecsOptions {
  e2eTest: string
  kubectl: string
  kubeconfig: string
  /** Of each spec, in milliseconds; one that takes longer is interrupted, and what it made removed. */
  limitMs: number
  signal: AbortSignal
}

/**
 * Runs specs one after the other in one process. A spec that takes too long ends the process: those behind it are not
 * among the results, and have to be run again.
 */
export async function runSpecs(names: readonly string[], options: RunSpecsOptions): Promise<SpecResult[]> {
  const work = mkdtempSync(join(tmpdir(), 'caisson-conformance-'))
  try {
    const report = join(work, 'report.json')
    const ended = await runProcess(names, report, work, options)
    const wanted = new Set(names)
    if (!existsSync(report)) return runAlone(names, ended, options)
    const reports = readReport(report)
    const setUp = reports.find((each) => each.LeafNodeType !== 'It' && each.State === 'failed')
    const results = reports
      .filter((each) => each.LeafNodeType === 'It' && wanted.has(nameOf(each)))
      .flatMap((each) => resultOf(each))
    if (results.length === 0 && !options.signal.aborted)
      throw new Error(`e2e.test ran none of ${names.length} specs: ${setUp?.Failure?.Message ?? ended.slice(-4000)}`)
    return results
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
}

/** A spec that fails in a goroutine of its own takes the process with it: each is asked by itself which of them does. */
async function runAlone(names: readonly string[], ended: string, options: RunSpecsOptions): Promise<SpecResult[]> {
  const [name, ...others] = names
  if (name !== undefined && others.length === 0)
    return [{ name, outcome: 'failed', seconds: 0, message: 'it ended the process', output: ended }]
  const results: SpecResult[] = []
  for (const each of names) if (!options.signal.aborted) results.push(...(await runSpecs([each], options)))
  return results
}

function runProcess(names: readonly string[], report: string, work: string, options: RunSpecsOptions): Promise<string> {
  const args = [
    '--provider=skeleton',
    `--kubeconfig=${options.kubeconfig}`,
    `--kubectl-path=${options.kubectl}`,
    `--e2e-output-dir=${work}`,
    '--disable-log-dump',
    '--ginkgo.v',
    '--ginkgo.no-color',
    '--ginkgo.timeout=24h',
    '--ginkgo.grace-period=20s',
    '--ginkgo.seed=1',
    `--ginkgo.json-report=${report}`,
    // Ginkgo puts the suite's own name before the spec's.
    ...names.map((name) => `--ginkgo.focus= ${escapeRegExp(name)}$`),
  ]
  return new Promise((resolve, reject) => {
    const child = spawn(options.e2eTest, args, {
      cwd: work,
      env: { ...process.env, KUBECONFIG: options.kubeconfig },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let tail = ''
    const interrupt = () => child.kill('SIGINT')
    let timer = setTimeout(interrupt, options.limitMs)
    const hear = (text: string): void => {
      tail = `${tail}${text}`.slice(-16_384)
      // Ginkgo's bullet ends a spec.
      if (!text.includes('•')) return
      clearTimeout(timer)
      timer = setTimeout(interrupt, options.limitMs)
    }
    child.stdout.setEncoding('utf8').on('data', hear)
    child.stderr.setEncoding('utf8').on('data', hear)
    options.signal.addEventListener('abort', interrupt, { once: true })
    child.on('error', reject)
    child.on('close', () => {
      clearTimeout(timer)
      options.signal.removeEventListener('abort', interrupt)
      resolve(tail)
    })
  })
}

function readReport(path: string): SpecReport[] {
  const suites = JSON.parse(readFileSync(path, 'utf8')) as Array<{ SpecReports: SpecReport[] | null }>
  return suites.flatMap((suite) => suite.SpecReports ?? [])
}

function nameOf(report: SpecReport): string {
  return [...(report.ContainerHierarchyTexts ?? []), report.LeafNodeText].join(' ')
}

/** Nothing for a spec that was not begun. */
function resultOf(report: SpecReport): SpecResult[] {
  const { State, RunTime, Failure, CapturedGinkgoWriterOutput: output = '' } = report
  const outcome = outcomeOf(State)
  // One that skips itself says why; one behind the end of an interrupted process says nothing.
  if (outcome === 'skipped' && !Failure?.Message) return []
  const message = outcome === 'passed' ? '' : (Failure?.Message ?? State)
  return [{ name: nameOf(report), outcome, seconds: Math.round(RunTime / 1e7) / 100, message, output }]
}

function outcomeOf(state: string): Outcome {
  if (state === 'passed' || state === 'skipped') return state
  return state === 'interrupted' || state === 'timedout' ? 'timed out' : 'failed'
}

function escapeRegExp(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
}
