import { once } from 'node:events'
import { join } from 'node:path'
import { containerSpec, createScratchRuntime, sandboxSpec } from './scratch-runtime.ts'

/** Starts a sandbox, says which process its sentry is, suspends it once it is told anything, and waits to be killed. */
const [, , stateDirectory = '', program = ''] = process.argv
const scratch = await createScratchRuntime({ stateDirectory })
const { runtime } = scratch
await runtime.createSandbox(sandboxSpec('box'))
const { state } = await runtime.startContainer(
  containerSpec(scratch, 'main', { sandboxId: 'box', args: ['python3', '-c', program] }),
)
process.stdout.write(`${state.phase === 'running' ? state.pid : ''}\n`)
await once(process.stdin, 'data')
await runtime.checkpoint('box', { directory: join(stateDirectory, 'snapshot'), leaveRunning: false })
setInterval(() => {}, 1 << 30)
