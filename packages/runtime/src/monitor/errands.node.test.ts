import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { scratchMonitor } from '../testing/scratch-monitor.ts'

test('the monitor runs a program with what it is given and says how it ended', async () => {
  await using started = await scratchMonitor()
  const { monitor } = started
  const script = 'read line; echo "$PPID $line $WORD"; echo complaint >&2; exit 3'
  const result = await monitor.run('sh', ['-c', script], { stdin: 'a line\n', env: { WORD: 'word' } })
  expect(result).toEqual({ exitCode: 3, stdout: `${await monitor.ping()} a line word\n`, stderr: 'complaint\n' })
})

test('a program that is not there and one that takes too long are refused as they are without a monitor', async () => {
  await using started = await scratchMonitor()
  const { monitor } = started
  await expect(monitor.run('no-such-program', [])).rejects.toThrow('spawn no-such-program ENOENT')
  await expect(monitor.run('sleep', ['60'], { timeoutMs: 50 })).rejects.toThrow('aborted')
})

test('where the monitor is killed meanwhile, the program is run here', async () => {
  await using started = await scratchMonitor()
  const { directory, monitor } = started
  const runs = join(directory, 'runs')
  const killed = await monitor.ping()
  const script = 'echo $PPID >> "$0"; [ $(wc -l < "$0") = 2 ] || kill -9 $PPID; echo done'
  expect(await monitor.run('sh', ['-c', script, runs])).toEqual({ exitCode: 0, stdout: 'done\n', stderr: '' })
  expect(await readFile(runs, 'utf8')).toBe(`${killed}\n${process.pid}\n`)
})

test('after its end the client starts no other monitor for a program', async () => {
  await using started = await scratchMonitor()
  const { monitor } = started
  await monitor.ping()
  await monitor.retire()
  const { stdout } = await monitor.run('sh', ['-c', 'echo $PPID'])
  expect(stdout).toBe(`${process.pid}\n`)
})
