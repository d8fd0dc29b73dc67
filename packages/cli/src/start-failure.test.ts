import { expect, test } from 'vitest'
import { startFailure } from './start-failure.ts'

// As the runtimes write them.
test.each([
  ['running container: starting sandbox: creating process: failed to load /nope: no such file or directory', '/nope'],
  [
    'executing command "nope arg" in sandbox: error finding executable "nope" in PATH [/bin]: no such file or directory',
    'nope',
  ],
  ['exec failed: unable to start container process: exec: "nope": executable file not found in $PATH', 'nope'],
  ['unable to start container process: exec: "/nope": stat /nope: no such file or directory: unknown', '/nope'],
  ['executable file `nope` not found in $PATH: No such file or directory', 'nope'],
])('a command that is not there: %s', (message, program) => {
  expect(startFailure(message, 'box:1')).toMatchObject({
    code: 'not-found',
    message: `${program} is not in the image box:1, or its interpreter is not: name a command that is there, or another image`,
  })
})

test('a command that is no program', () => {
  expect(startFailure('creating process: failed to load /etc: permission denied', 'box:1')?.message).toBe(
    '/etc cannot be executed in the image box:1 (permission denied): name an executable file',
  )
})

test('nothing of other failures', () => {
  expect(startFailure('mount /a: no such file or directory', 'box:1')).toBeUndefined()
})
