/** Bare runsc doing what Caisson does for snapshots: what `sleep-and-fork.ts` holds it against. */
import { spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, openSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { hostRootfs } from './bare-runsc.ts'

export interface BareSnapshots extends AsyncDisposable {
  start(name: string, args: string[]): Promise<void>
  checkpoint(name: string, image: string): Promise<void>
  /** A sandbox into which nothing was put yet. */
  create(name: string): Promise<void>
  restore(name: string, image: string): Promise<void>
  /** All but the one that was started. */
  removeRestored(): Promise<void>
}

/** @param args of the command that all of its sandboxes are made for */
export async function bareSnapshots(runsc: string, args: string[]): Promise<BareSnapshots> {
  const work = mkdtempSync(join(tmpdir(), 'caisson-bench-'))
  const output = openSync(join(work, 'output'), 'a')
  const bundle = join(work, 'bundle')
  mkdirSync(bundle)
  await hostRootfs(bundle, { args })
  const flags = [
    '--root',
    join(work, 'root'),
    '--platform=systrap',
    '--ignore-cgroups',
    '--overlay2=root:memory',
    '--network=none',
  ]
  /** No name is the beginning of another: runsc would take it for that one. */
  const made = new Set<string>()
  const started = new Set<string>()

  /** Detached sandboxes inherit their streams, so that they get no pipe. */
  function run(command: string[]): Promise<void> {
    return new Promise((resolve, reject) => {
      const child = spawn(runsc, [...flags, ...command], { stdio: ['ignore', output, output] })
      child.on('error', reject)
      child.on('close', (code) => (code === 0 ? resolve() : reject(new Error(`runsc ${command.join(' ')}: ${code}`))))
    })
  }

  async function remove(names: Set<string>): Promise<void> {
    // Each waits a second for its sandbox's end, most of it in vain.
    await Promise.all([...names].map((name) => run(['delete', '--force', name]).catch(() => undefined)))
    names.clear()
  }

  return {
    async start(name, command) {
      await hostRootfs(bundle, { args: command })
      started.add(name)
      await run(['run', '--detach', '--bundle', bundle, name])
    },
    checkpoint: (name, image) =>
      run([
        'checkpoint',
        '--leave-running',
        '--compression=none',
        '--exclude-committed-zero-pages',
        `--image-path=${join(work, image)}`,
        name,
      ]),
    async create(name) {
      made.add(name)
      await run(['create', '--bundle', bundle, name])
    },
    restore: (name, image) =>
      run(['restore', '--detach', '--bundle', bundle, `--image-path=${join(work, image)}`, name]),
    async removeRestored() {
      await remove(made)
    },
    async [Symbol.asyncDispose]() {
      await remove(made)
      await remove(started)
      rmSync(work, { recursive: true, force: true })
    },
  }
}
