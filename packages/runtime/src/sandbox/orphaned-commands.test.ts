import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { expect, onTestFinished, test } from 'vitest'
import { endOrphanedCommands } from './orphaned-commands.ts'

const STATE = '/var/lib/caisson-of-a-test'

/** A process with the command line of an OCI runtime, which exits with 7 when it is told to. */
async function orphan(stateDirectory: string, ...subcommand: string[]): Promise<ChildProcess> {
  const options = ['--root', `${stateDirectory}/runsc`, '--log', 'delete', '--log-format', 'json', '--platform=systrap']
  const child = spawn('sh', ['-c', 'echo; read -r _; exit 7', 'sh', ...options, ...subcommand])
  onTestFinished(() => void child.kill('SIGKILL'))
  await once(child.stdout, 'data')
  return child
}

const endOf = ({ exitCode, signalCode }: ChildProcess): number | string | null => exitCode ?? signalCode

test('those that hold a sandbox still are let finish, what would be done again is ended, and nothing else is touched', async () => {
  const pause = await orphan(STATE, 'pause', 'a')
  const ended = [
    await orphan(STATE, 'checkpoint', '--image-path=/pause', 'a'),
    await orphan(STATE, 'delete', '--force', 'a'),
    await orphan(STATE, 'kill', 'a', '9'),
  ]
  const others = [await orphan(STATE, 'exec', 'a', 'kill'), await orphan(`${STATE}-2`, 'delete', 'a')]
  const done = endOrphanedCommands(STATE)
  await Promise.all(ended.map((child) => once(child, 'exit')))
  expect(endOf(pause)).toBe(null)
  pause.stdin?.end('\n')
  await Promise.all([done, once(pause, 'exit')])
  expect([pause, ...ended, ...others].map(endOf)).toEqual([7, 'SIGKILL', 'SIGKILL', 'SIGKILL', null, null])
})

test('one that does not finish is ended after all', async () => {
  const resume = await orphan(STATE, 'resume', 'a')
  await endOrphanedCommands(STATE)
  if (endOf(resume) === null) await once(resume, 'exit')
  expect(endOf(resume)).toBe('SIGKILL')
})
