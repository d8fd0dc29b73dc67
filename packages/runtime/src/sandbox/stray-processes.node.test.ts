import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { findCgroupTree } from '../cgroups/cgroup-tree.ts'
import { cgroupName } from '../cgroups/sandbox-cgroups.ts'
import { findStrayCgroups, removeStrayCgroup } from '../cgroups/stray-groups.ts'
import { unmountBelow } from '../mount-points.ts'
import { findStrayNetworks, removeStrayNetwork } from '../network/network-register.ts'
import { waitForMadeAhead } from '../testing/made-ahead.ts'
import { processesWith } from '../testing/processes.ts'
import { defaultToolsDirectory } from '../tools/tools.ts'
import { findStrayProcesses, removeStrayProcesses, type StrayProcesses } from './stray-processes.ts'

test('what a killed daemon and its monitor leave is found once their directory is gone, and ended', async () => {
  const stateDirectory = await mkdtemp(join(tmpdir(), 'caisson-runtime-'))
  const strays = (): StrayProcesses[] => findStrayProcesses().filter((stray) => stray.stateDirectory === stateDirectory)
  const program = fileURLToPath(new URL('../testing/forking-daemon.ts', import.meta.url))
  const daemon = spawn(process.execPath, [program, stateDirectory, 'none'], { stdio: ['ignore', 'pipe', 'inherit'] })
  if (daemon.stdout) await once(daemon.stdout, 'data')
  // All of them: what is only being made would write where everything is removed.
  await waitForMadeAhead(stateDirectory, 5)
  // Its own daemon would find them: they are no strays yet.
  expect(strays()).toEqual([])
  daemon.kill('SIGSTOP')
  for (const pid of await processesWith(stateDirectory))
    if (pid !== daemon.pid && (await processesWith('monitor-main.ts')).includes(pid)) process.kill(pid, 'SIGKILL')
  daemon.kill('SIGKILL')
  await once(daemon, 'exit')
  await unmountBelow(stateDirectory)
  await rm(stateDirectory, { recursive: true, force: true })
  const [stray] = strays()
  if (!stray) throw new Error('nothing was found')
  // The sandbox that was kept, and what was made ahead of its copies.
  expect(stray.reapers.length).toBeGreaterThanOrEqual(3)
  removeStrayProcesses(stray)
  await expect.poll(() => processesWith(stateDirectory)).toEqual([])
  expect(strays()).toEqual([])
  const groups = async (): Promise<string[]> =>
    (await findStrayCgroups(undefined, Date.now() + 3_600_000)).filter(
      (path) => basename(path) === cgroupName(stateDirectory),
    )
  // With those of its sandboxes, in each hierarchy.
  const left = await groups()
  expect(left.length).toBe(new Set(findCgroupTree()?.controllers.values()).size)
  for (const path of left) await removeStrayCgroup(path)
  expect(await groups()).toEqual([])
  for (const network of await findStrayNetworks())
    if (network.stateDirectory === stateDirectory) await removeStrayNetwork(network, defaultToolsDirectory())
})
