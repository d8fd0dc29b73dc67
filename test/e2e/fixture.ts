/** An embedded cluster of its own for a test file: started by the real launcher, stopped and removed with all it made. */
import { execFileSync, spawn } from 'node:child_process'
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { homedir, tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { controlPlaneDirectory } from '../cluster/build-control-plane.ts'

const ROOT = join(import.meta.dirname, '../..')
const CAISSON = join(ROOT, 'bin/caisson')

export interface Outcome {
  code: number | null
  stdout: string
  stderr: string
}

export interface RunOptions {
  input?: string
  env?: Record<string, string>
  cwd?: string
}

export interface Cluster extends AsyncDisposable {
  dataDirectory: string
  env: Record<string, string>
  /** Never rejects for an exit code: tests look at it. */
  caisson(args: string[], options?: RunOptions): Promise<Outcome>
  kubectl(args: string[], options?: RunOptions): Promise<Outcome>
  /** The same, but failing the test with what was printed where the exit code is not 0; gives standard output. */
  mustCaisson(args: string[], options?: RunOptions): Promise<string>
  mustKubectl(args: string[], options?: RunOptions): Promise<string>
}

/**
 * The kubectl that tests use: the one that CAISSON_TEST_KUBECTL names, else that built from its Go module where that was
 * done, else the installed one.
 */
export function findKubectl(): string | undefined {
  const given = process.env['CAISSON_TEST_KUBECTL']
  if (given) {
    if (!existsSync(given)) throw new Error(`CAISSON_TEST_KUBECTL names ${given}, which is not there`)
    return given
  }
  const built = join(controlPlaneDirectory(), 'kubectl')
  if (existsSync(built)) return built
  try {
    return execFileSync('sh', ['-c', 'command -v kubectl'], { encoding: 'utf8' }).trim()
  } catch {
    return undefined
  }
}

export function run(command: string, args: string[], options: RunOptions = {}): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      cwd: options.cwd ?? ROOT,
      env: { ...process.env, ...options.env },
      stdio: [options.input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
    })
    let stdout = ''
    let stderr = ''
    child.stdout?.setEncoding('utf8').on('data', (text: string) => (stdout += text))
    child.stderr?.setEncoding('utf8').on('data', (text: string) => (stderr += text))
    child.on('error', reject)
    child.on('close', (code) => resolve({ code, stdout, stderr }))
    if (options.input !== undefined) child.stdin?.end(options.input)
  })
}

/** Standard output of what has to succeed. @param said what was run, for the error */
export async function must(outcome: Promise<Outcome>, said = 'the command'): Promise<string> {
  const { code, stdout, stderr } = await outcome
  if (code !== 0) throw new Error(`${said} exited with ${code}\n${stdout}\n${stderr}`)
  return stdout
}

export interface StartOptions {
  /** Further arguments of `caisson up`. */
  up?: string[]
  /** Puts busybox into the image store. */
  busybox?: boolean
  /** Archives of images that are put into the image store. */
  archives?: string[]
  /** A disk of its own, of so many bytes as tmpfs counts them (`64m`). */
  disk?: string
  /** Content of `images.yaml`. */
  images?: string
  /** Beside what this process has. */
  env?: Record<string, string>
}

/** What a daemon and its monitor have said of mistakes in their own code that end nothing, and which nobody would hear of otherwise. */
function unheardFailures(dataDirectory: string): string[] {
  const log = join(dataDirectory, 'caisson.log')
  if (!existsSync(log)) return []
  const kept = process.env['CAISSON_TEST_LOGS']
  if (kept) {
    mkdirSync(kept, { recursive: true })
    copyFileSync(log, join(kept, `${basename(dataDirectory)}.log`))
  }
  const monitorLog = join(dataDirectory, 'runtime/monitor.log')
  return [log, ...(existsSync(monitorLog) ? [monitorLog] : [])]
    .flatMap((path) => readFileSync(path, 'utf8').split('\n'))
    .filter((line) => line.includes('a failure that nobody waited for'))
}

export async function startCluster(options: StartOptions = {}): Promise<Cluster> {
  const dataDirectory = mkdtempSync(join(tmpdir(), 'caisson-e2e-'))
  const env: Record<string, string> = {
    CAISSON_DATA_DIR: dataDirectory,
    // Tools are fetched once for all tests, not into each data directory.
    CAISSON_TOOLS_DIR: process.env['CAISSON_TOOLS_DIR'] ?? join(homedir(), '.cache', 'caisson', 'tools'),
    KUBECONFIG: join(dataDirectory, 'kubeconfig'),
    // kubectl caches discovery by host and port, and ports come again.
    KUBECACHEDIR: join(dataDirectory, 'kubectl-cache'),
    ...options.env,
  }
  const cluster: Cluster = {
    dataDirectory,
    env,
    caisson: (args, more) => run(CAISSON, args, { ...more, env: { ...env, ...more?.env } }),
    kubectl: (args, more) => run(findKubectl() ?? 'kubectl', args, { ...more, env: { ...env, ...more?.env } }),
    mustCaisson: (args, more) => must(cluster.caisson(args, more), `caisson ${args.join(' ')}`),
    mustKubectl: (args, more) => must(cluster.kubectl(args, more), `kubectl ${args.join(' ')}`),
    async [Symbol.asyncDispose]() {
      const down = await cluster.caisson(['down'])
      const unheard = unheardFailures(dataDirectory)
      if (options.disk !== undefined) execFileSync('umount', ['--lazy', dataDirectory])
      rmSync(dataDirectory, { recursive: true, force: true })
      if (down.code !== 0) throw new Error(`caisson down exited with ${down.code}: ${down.stderr}`)
      if (unheard.length > 0) throw new Error(`the cluster's log has failures:\n${unheard.join('\n')}`)
    },
  }
  if (options.disk !== undefined)
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${options.disk},mode=0700`, 'caisson-e2e', dataDirectory])
  try {
    if (options.images !== undefined) writeFileSync(join(dataDirectory, 'images.yaml'), options.images)
    if (options.busybox) {
      const archive = join(dataDirectory, 'busybox.tar')
      await must(run('bash', [join(ROOT, 'examples/busybox-image.sh'), archive], { env }), 'examples/busybox-image.sh')
      await cluster.mustCaisson(['image', 'import', archive])
    }
    for (const archive of options.archives ?? []) await cluster.mustCaisson(['image', 'import', archive])
    await cluster.mustCaisson(['up', '--detach', ...(options.up ?? [])])
    return cluster
  } catch (error) {
    await Promise.resolve(cluster[Symbol.asyncDispose]()).catch(() => undefined)
    throw error
  }
}
