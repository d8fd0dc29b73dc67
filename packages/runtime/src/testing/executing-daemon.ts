import { containerSpec, createScratchRuntime, sandboxSpec } from './scratch-runtime.ts'

/** Executes a process that tells what it says of itself, and waits to be killed. The container is `a-1`. */
const [stateDirectory = '', ...args] = process.argv.slice(2)
const scratch = await createScratchRuntime({ stateDirectory })
await scratch.runtime.createSandbox(sandboxSpec('a'))
await scratch.runtime.startContainer(containerSpec(scratch, 'a-1', { sandboxId: 'a' }))
const streams = await scratch.runtime.exec('a-1', { args, env: {}, tty: false, stdin: true })
streams.stdout.pipe(process.stdout)
setInterval(() => {}, 1 << 30)
