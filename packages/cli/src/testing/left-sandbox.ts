/** For tests: a data directory whose process has gone and left a sandbox running. */
import { mkdtempDisposable } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createRuntime, type RuntimeOptions } from '@caisson/runtime'
import { type DataDirectory, dataDirectory, toolsDirectory } from '../cluster/data-directory.ts'

export interface LeftSandbox extends AsyncDisposable {
  directory: DataDirectory
  /** Of the runtime that takes it over. */
  options: Pick<RuntimeOptions, 'stateDirectory' | 'toolsDirectory'>
}

export async function leaveSandbox(): Promise<LeftSandbox> {
  await using stack = new AsyncDisposableStack()
  const { path } = stack.use(await mkdtempDisposable(join(tmpdir(), 'caisson-left-')))
  const directory = dataDirectory(path)
  const options = { stateDirectory: directory.runtime, toolsDirectory: toolsDirectory(directory) }
  {
    await using runtime = await createRuntime(options)
    await runtime.createSandbox({
      id: 'a',
      handler: 'runsc',
      hostname: 'sandbox',
      network: { kind: 'none' },
      shared: true,
      limits: {},
      labels: {},
    })
  }
  const owned = stack.move()
  return { directory, options, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}
