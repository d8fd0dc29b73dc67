/** Python with the published SDK, each version in an environment of its own, made once and kept. */
import { execFile, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'

/** Whether this machine can make such environments; it is said loudly where not. */
export function hasPython(): boolean {
  const found = spawnSync('python3', ['-c', 'import venv, ensurepip']).status === 0
  if (!found)
    console.error('SKIPPED: the published Python SDK is not tested, because there is no python3 with venv here')
  return found
}

/** The Python of the environment with that version of `k8s-agent-sandbox`. */
export async function pythonWithSdk(version: string): Promise<string> {
  const directory = join(homedir(), '.cache/caisson/python', `k8s-agent-sandbox-${version}`)
  const complete = join(directory, 'complete')
  const python = join(directory, 'bin/python')
  if (existsSync(complete)) return python
  const run = promisify(execFile)
  rmSync(directory, { recursive: true, force: true })
  mkdirSync(join(directory, '..'), { recursive: true })
  await run('python3', ['-m', 'venv', directory])
  // What calls processes came with 1.0.
  const extras = version.startsWith('0.') ? 'async' : 'async,grpc'
  await run(python, ['-m', 'pip', 'install', '--quiet', `k8s-agent-sandbox[${extras}]==${version}`])
  writeFileSync(complete, '')
  return python
}
