/** What of this machine's /usr a container of the host image can read, as root with all that root may do. */
import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { chmod, link, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { RuntimeHandler } from './runtime.ts'
import {
  containerSpec,
  createScratchRuntime,
  execText,
  type ScratchRuntime,
  sandboxSpec,
} from './testing/scratch-runtime.ts'

const SECRET = 'caisson secret'

// crun refuses to run where controllers are split between cgroup v1 and v2.
const SPLIT_CGROUPS = existsSync('/sys/fs/cgroup/unified/cgroup.controllers')
const HANDLERS: RuntimeHandler[] = ['runsc', 'runc', ...(SPLIT_CGROUPS ? [] : (['crun'] as const)), 'runc-v2']

let place: string
let scratch: ScratchRuntime
beforeAll(async () => {
  // Where a machine's administrator may put something.
  place = await mkdtemp('/usr/local/share/caisson-test-')
  await chmod(place, 0o755)
  await mkdir(join(place, 'mounted'))
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'mode=755,size=1m', 'caisson-test', join(place, 'mounted')])
  await put('public', 0o644)
  await put('of-root', 0o600)
  await put('of-a-group', 0o640)
  await put('to-execute', 0o4711)
  await put('mounted/public', 0o644)
  await put('mounted/of-root', 0o600)
  await mkdir(join(place, 'closed'), { mode: 0o700 })
  await put('closed/public', 0o644)
  await mkdir(join(place, 'unlisted'), { mode: 0o711 })
  await put('unlisted/public', 0o644)
  await mkdir(join(place, 'later'), { mode: 0o755 })
  for (const handler of HANDLERS) await put(`later/${handler}`, 0o644)
  await link(join(place, 'of-root'), join(place, 'another-name'))
  await symlink('of-root', join(place, 'link'))
  await symlink('/etc/shadow', join(place, 'link-out'))
  scratch = await createScratchRuntime({ tools: ['runsc', 'runc', 'crun', 'containerd-shim-runc-v2'] })
}, 120_000)
afterAll(async () => {
  await scratch[Symbol.asyncDispose]()
  execFileSync('umount', [join(place, 'mounted')])
  await rm(place, { recursive: true })
})

async function put(name: string, mode: number): Promise<void> {
  await writeFile(join(place, name), SECRET)
  await chmod(join(place, name), mode)
}

describe.each(HANDLERS)('%s', (handler) => {
  test('of /usr a container sees what everybody on the machine may read, at any time', async () => {
    await scratch.runtime.createSandbox(sandboxSpec(handler, { handler }))
    const id = `${handler}-main`
    await scratch.runtime.startContainer(
      containerSpec(scratch, id, {
        sandboxId: handler,
        user: { uid: 0, gid: 0, additionalGids: [] },
        capabilities: ['CAP_DAC_OVERRIDE', 'CAP_DAC_READ_SEARCH', 'CAP_FOWNER', 'CAP_CHOWN', 'CAP_SYS_ADMIN'],
        args: ['sleep', '1000'],
      }),
    )
    const shell = async (script: string): Promise<string[]> =>
      (await execText(scratch.runtime, id, ['/bin/sh', '-c', `cd ${place}; { ${script}; } 2> /dev/null`])).stdout.split(
        '\n',
      )
    const readable = (names: string): Promise<string[]> =>
      shell(`for name in ${names}; do grep -q '${SECRET}' $name && echo $name; done; id -u`)
    expect(
      await readable('* closed/public unlisted/public unlisted/* mounted/public mounted/of-root /etc/shadow'),
    ).toEqual(['public', 'unlisted/public', 'mounted/public', '0', ''])
    expect(await shell('ls closed; ls unlisted; id -u')).toEqual(['0', ''])
    // What comes, or is closed, is judged as all else.
    await chmod(join(place, `later/${handler}`), 0o600)
    await put(`later/${handler}-came`, 0o644)
    await put(`later/${handler}-came-of-root`, 0o600)
    expect(await readable(['', '-came', '-came-of-root'].map((end) => `later/${handler}${end}`).join(' '))).toEqual([
      `later/${handler}-came`,
      '0',
      '',
    ])
    await scratch.runtime.removeSandbox(handler)
  })
})
