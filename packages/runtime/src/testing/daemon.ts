import { containerSpec, createScratchRuntime, sandboxSpec } from './scratch-runtime.ts'

/** Starts three sandboxes, says so as it begins and once all run, and waits to be killed. */
const scratch = await createScratchRuntime({ stateDirectory: process.argv[2] ?? '' })
const { runtime } = scratch
const only = process.argv[3] === 'announce'
if (only) process.stdout.write('begun\n')
await runtime.createSandbox(sandboxSpec('stays'))
await runtime.createSandbox(sandboxSpec('ends'))
await runtime.createSandbox(sandboxSpec('shared', { shared: true }))
const counter = 'i=0; while :; do i=$((i+1)); echo $i; sleep 0.02; done'
await runtime.startContainer(
  containerSpec(scratch, 'stays-1', { sandboxId: 'stays', args: ['/bin/sh', '-c', counter] }),
)
await runtime.startContainer(containerSpec(scratch, 'shared-1', { sandboxId: 'shared' }))
await runtime.startContainer(
  containerSpec(scratch, 'ends-1', {
    sandboxId: 'ends',
    args: ['/bin/sh', '-c', 'echo begun; sleep 1; echo done; exit 5'],
  }),
)
process.stdout.write('ready\n')
setInterval(() => {}, 1 << 30)
