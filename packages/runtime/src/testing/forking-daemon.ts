import { join } from 'node:path'
import { containerSpec, createScratchRuntime, sandboxSpec } from './scratch-runtime.ts'

/** Keeps a sandbox, says so, makes copies of it one after the other unless it is to make none, and waits to be killed. */
const stateDirectory = process.argv[2] ?? ''
const scratch = await createScratchRuntime({ stateDirectory })
const { runtime } = scratch
const tag = String(process.pid)
const network = { kind: 'pod' } as const
await runtime.createSandbox(sandboxSpec(`source-${tag}`, { network }))
const spec = (id: string): ReturnType<typeof containerSpec> =>
  containerSpec(scratch, `${id}-c`, { sandboxId: id, args: ['/bin/sleep', '1000'] })
await runtime.startContainer(spec(`source-${tag}`))
const snapshot = join(stateDirectory, `snapshot-${tag}`)
await runtime.checkpoint(`source-${tag}`, { directory: snapshot, leaveRunning: true })
process.stdout.write('kept\n')
const copies = process.argv[3] === 'none' ? 0 : Infinity
for (let copy = 0; copy < copies; copy++) {
  const id = `copy-${tag}-${copy}`
  await runtime.createSandbox(sandboxSpec(id, { network, hostname: id, snapshot }))
  await runtime.restoreContainer(spec(id), snapshot)
  await runtime.removeSandbox(id)
}
setInterval(() => {}, 1 << 30)
