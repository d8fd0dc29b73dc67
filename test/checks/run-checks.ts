/**
 * Everything about the source that can be judged without running it: types, lint, format, dead code, layers, documents,
 * generated files. Runs them all, says which failed and which could not be run, and exits 1 where one failed.
 */
import { spawnSync } from 'node:child_process'
import { tmpdir } from 'node:os'
import { KUBERNETES } from '../cluster/build-control-plane.ts'

type Check = [name: string, command: string, ...args: string[]]

const CHECKS: readonly Check[] = [
  ['types', 'tsc', '-p', '.'],
  ['lint', 'oxlint', '--type-aware'],
  ['format', 'biome', 'check', '.'],
  ['dead code', 'knip'],
  ['layers', 'node', 'test/checks/layers.ts'],
  ['promises and their tests', 'node', 'test/checks/specification.ts'],
  ['documents and what they name', 'node', 'test/checks/documents.ts'],
  ['generated files: CRDs', 'node', 'packages/api/scripts/generate-crds.ts', '--check'],
  ['generated files: manifests and chart', 'node', 'packages/cli/scripts/generate-deploy.ts', '--check'],
]

/** What is generated from Kubernetes' Go modules. */
const FROM_MODULES: readonly Check[] = [
  ['generated files: embedded types', 'node', 'packages/api/scripts/generate-core-schemas.ts', '--check'],
  ['generated files: schemas', 'node', 'packages/apiserver/scripts/generate-schemas.ts', '--check'],
  ['generated files: protobuf', 'node', 'packages/apiserver/scripts/generate-protobuf.ts', '--check'],
]

// A check downloads nothing: a module that is not in Go's cache is an error at once.
const env = { ...process.env, GOPROXY: 'off' }

/** Whether Go is there and has the modules in its cache. */
function hasModules(): boolean {
  const staging = KUBERNETES.replace('v1.', 'v0.')
  const modules = ['api', 'apimachinery', 'apiextensions-apiserver'].map((name) => `k8s.io/${name}@${staging}`)
  const args = ['mod', 'download', `k8s.io/kubernetes@${KUBERNETES}`, ...modules]
  return spawnSync('go', args, { cwd: tmpdir(), env }).status === 0
}

const runnable = hasModules() ? [...CHECKS, ...FROM_MODULES] : CHECKS
const failed = runnable.filter(([name, command, ...args]) => {
  const started = performance.now()
  const { status, stdout, stderr } = spawnSync(command, args, { encoding: 'utf8', env })
  const seconds = ((performance.now() - started) / 1000).toFixed(1)
  console.log(`${status === 0 ? 'ok  ' : 'FAIL'} ${name} (${seconds} s)`)
  if (status !== 0) console.log(`${stdout}${stderr}`.trim())
  return status !== 0
})

const notRun = runnable === CHECKS ? FROM_MODULES : []
for (const [name] of notRun)
  console.log(`not run: ${name}: Kubernetes ${KUBERNETES} is not among Go's modules here; \`make generate\` fetches it`)
console.log(
  `checks: ${runnable.length - failed.length} of ${runnable.length} hold${notRun.length ? `, ${notRun.length} not run` : ''}`,
)
process.exit(failed.length === 0 ? 0 : 1)
