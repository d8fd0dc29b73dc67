import { spawn } from 'node:child_process'
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { RuntimeError } from '../runtime-error.ts'
import { openFiles } from './open-files.ts'
import type { Naming } from './protocol.ts'
import { runInContainer } from './sentry-control.ts'

const CAP_SYS_ADMIN = 1 << 21

/** The kernel in the sandbox knows no other way than a system call of a process that may: ours, that needs no file inside. */
export async function setHostname(naming: Naming): Promise<void> {
  const { ociId, stateFile, directory, hostname, sendFiles } = naming
  const path = join(directory, 'hostname')
  await writeFile(path, hostname, { mode: 0o600 })
  using given = openFiles()
  const program = given.open(naming.program, 'r')
  try {
    const status = await runInContainer(stateFile, {
      containerId: ociId,
      program,
      input: given.open(path, 'r'),
      name: 'set-hostname',
      capabilities: CAP_SYS_ADMIN,
      sendFiles,
    })
    if (status !== 0) throw new RuntimeError('failed', `the sandbox does not take its name (wait status ${status})`)
  } catch {
    await executeSetHostname(naming, { program, input: given.open(path, 'r') })
  } finally {
    await rm(path, { force: true })
  }
}

/** The same by `runsc exec`, which takes 20 ms longer. */
async function executeSetHostname(
  { exec, runtimeLog }: Naming,
  { program, input }: { program: number; input: number },
): Promise<void> {
  try {
    const child = spawn(exec.program, [...exec.args, 'set-hostname'], {
      env: exec.env,
      stdio: [input, 'ignore', 'pipe', program],
    })
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    let complaint = ''
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      complaint = (complaint + text).slice(-2000)
    })
    child.on('error', reject)
    child.on('close', (code) => {
      if (code === 0) resolve()
      else
        reject(
          new RuntimeError('failed', `could not give the sandbox its name (exit code ${code}): ${complaint.trim()}`),
        )
    })
    await promise
  } finally {
    await rm(runtimeLog, { force: true })
  }
}
