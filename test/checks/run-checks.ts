/**
 * Everything about the source that can be judged without running it: types, lint, format, dead code, layers, generated
 * files. Runs them all, says which failed, and exits 1 where one did.
 */
import { spawnSync } from 'node:child_process'

const CHECKS: ReadonlyArray<[name: string, command: string, ...args: string[]]> = [
  ['types', 'tsc', '-p', '.'],
  ['lint', 'oxlint', '--type-aware'],
  ['format', 'biome', 'check', '.'],
  ['dead code', 'knip'],
  ['layers', 'node', 'test/checks/layers.ts'],
  ['promises and their tests', 'node', 'test/checks/specification.ts'],
  ['generated files: CRDs', 'node', 'packages/api/scripts/generate-crds.ts', '--check'],
]

const failed = CHECKS.filter(([name, command, ...args]) => {
  const started = performance.now()
  const { status, stdout, stderr } = spawnSync(command, args, { encoding: 'utf8' })
  const seconds = ((performance.now() - started) / 1000).toFixed(1)
  console.log(`${status === 0 ? 'ok  ' : 'FAIL'} ${name} (${seconds} s)`)
  if (status !== 0) console.log(`${stdout}${stderr}`.trim())
  return status !== 0
})

console.log(`checks: ${CHECKS.length - failed.length} of ${CHECKS.length} hold`)
process.exit(failed.length === 0 ? 0 : 1)
