import { expect, test } from 'vitest'
import { type ContainerSpec } from '../runtime.ts'
import { RuntimeError } from '../runtime-error.ts'
import { concealPaths } from './conceal-paths.ts'

const stateDirectory = '/home/me/.local/state/caisson/runtime'
const directory = `${stateDirectory}/containers/web-0`
const bind = (source: string, destination: string) => ({ kind: 'bind' as const, source, destination, readOnly: false })
const spec = {
  mounts: [bind('/home/me/.local/state/caisson/kubelet/pods/1/volumes/v', '/data'), bind('/', '/host')],
} as unknown as ContainerSpec

test.each([
  [
    `error mounting "/home/me/.local/state/caisson/kubelet/pods/1/volumes/v" to rootfs at "/proc/self/fd": "${directory}/rootfs/proc/1/fd" cannot be mounted because it is inside /proc`,
    'error mounting "volume at /data" to rootfs at "/proc/self/fd": "/proc/1/fd" cannot be mounted because it is inside /proc',
  ],
  [`cannot read ${directory}/config.json`, 'cannot read /config.json'],
  [`no space left on device: ${stateDirectory}/runc/x`, 'no space left on device: /runc/x'],
  ['exec: "/no/such/command": stat /no/such/command: no such file', undefined],
])('%s', (message, expected) => {
  const error = new RuntimeError('failed', message)
  const shown = concealPaths(error, { spec, directory, stateDirectory }) as RuntimeError
  expect([shown.code, shown.message]).toEqual(['failed', expected ?? message])
})
