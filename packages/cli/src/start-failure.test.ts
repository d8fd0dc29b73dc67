import { expect, test } from 'vitest'
import { startFailure, waitingFailure } from './start-failure.ts'

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

test('a command that is nothing', () => {
  const message = 'error finding executable "" in PATH [/bin]: no such file or directory'
  expect(startFailure(message, 'box:1')).toMatchObject({
    code: 'usage',
    message: 'the command is an empty text: name one that is in the image',
  })
})

test('nothing of other failures', () => {
  expect(startFailure('mount /a: no such file or directory', 'box:1')).toBeUndefined()
})

test('a port that another sandbox has is named', () => {
  const ports = [{ containerPort: 80, hostPort: 8080, hostIP: '127.0.0.1' }]
  const message = "0/1 nodes are available: 1 node(s) didn't have free ports for the requested pod ports."
  const pod = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {},
    spec: { containers: [{ name: 'main', ports }] },
    status: { conditions: [{ type: 'PodScheduled', status: 'False', message }] },
  }
  expect(waitingFailure(pod)?.message).toBe('port 8080 of 127.0.0.1 is in use by another sandbox: publish another one')
})
