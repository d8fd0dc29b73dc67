/** Whether a runsc runs anything on this machine: found out by having it do so. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { version as kernelVersion, tmpdir } from 'node:os'
import { join } from 'node:path'
import { runCommand } from './run-command.ts'
import { runscPlatform, type Tool, toolEnvironment } from './tools.ts'

/** A sandbox takes a fifth of a second, and one on a machine that is very busy some of them. */
const PATIENCE_MS = 20_000
const HOST_NAME = 'caisson-doctor'
/** Characters of what runsc says of a failure. */
const LONGEST_COMPLAINT = 300

/**
 * Runs one sandbox, as unprivileged and without a network, that says which kernel it sees; nothing of it stays.
 *
 * @param prefix a command that runs the one behind it as root of a namespace, for who is not root
 * @returns why it does not work; undefined where it does
 */
export async function probeRunsc(tool: Tool, prefix: readonly string[] = []): Promise<string | undefined> {
  const directory = await mkdtemp(join(tmpdir(), 'caisson-probe-'))
  const platform = await runscPlatform(tool)
  const common = ['--root', join(directory, 'state'), `--platform=${platform}`, '--ignore-cgroups', '--network=none']
  const runsc = (words: string[], signal: AbortSignal): ReturnType<typeof runCommand> => {
    const [program = '', ...args] = [...prefix, tool.path, ...common, ...words]
    return runCommand(program, args, { env: toolEnvironment(tool), signal })
  }
  try {
    const bundle = join(directory, 'bundle')
    await mkdir(bundle)
    await writeFile(join(bundle, 'config.json'), JSON.stringify(CONFIG))
    const signal = AbortSignal.timeout(PATIENCE_MS)
    const { exitCode, stdout, stderr } = await runsc(['run', '--bundle', bundle, HOST_NAME], signal)
    if (exitCode !== 0) return shortened(stderr) || `exit code ${exitCode}`
    if (!stdout.startsWith(`${HOST_NAME} `)) return `what runs in it says ${JSON.stringify(shortened(stdout))}`
    return stdout.includes(kernelVersion()) ? 'what runs in it sees the kernel of this machine' : undefined
  } catch (error) {
    return (error as Error).name === 'AbortError'
      ? `a sandbox has not ended within ${PATIENCE_MS / 1000} s`
      : (error as Error).message
  } finally {
    // One that did not end goes on without the command that began it.
    await runsc(['delete', '--force', HOST_NAME], AbortSignal.timeout(PATIENCE_MS)).catch(() => undefined)
    await rm(directory, { recursive: true, force: true })
  }
}

/** Of this machine's programs, which are read and not written. */
const CONFIG = {
  ociVersion: '1.0.0',
  hostname: HOST_NAME,
  process: {
    user: { uid: 65534, gid: 65534 },
    args: ['uname', '-nv'],
    env: ['PATH=/usr/bin:/bin'],
    cwd: '/',
    noNewPrivileges: true,
    capabilities: {},
  },
  root: { path: '/', readonly: true },
  linux: { namespaces: ['pid', 'ipc', 'uts', 'mount', 'network'].map((type) => ({ type })) },
}

function shortened(text: string): string {
  return text.trim().slice(-LONGEST_COMPLAINT)
}
