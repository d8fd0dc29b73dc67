/** For tests: a monitor of a state directory of its own. */
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { createMonitorClient, type MonitorClient } from '../monitor/monitor-client.ts'

export const MONITOR = fileURLToPath(new URL('../monitor/monitor-main.ts', import.meta.url))

export interface ScratchMonitor extends AsyncDisposable {
  directory: string
  monitor: MonitorClient
}

/** It starts with the first call. @param nodeOptions before the monitor's program */
export async function scratchMonitor(nodeOptions: string[] = []): Promise<ScratchMonitor> {
  const directory = await mkdtemp(join(tmpdir(), 'caisson-monitor-'))
  await mkdir(join(directory, 'containers'))
  const monitor = createMonitorClient({
    stateDirectory: directory,
    command: [process.execPath, ...nodeOptions, MONITOR],
    onExit: () => undefined,
    onReplaced: async () => {},
  })
  return {
    directory,
    monitor,
    async [Symbol.asyncDispose]() {
      await monitor.retire()
      await monitor[Symbol.asyncDispose]()
      await rm(directory, { recursive: true })
    },
  }
}
