/** Where a process has no descriptors left, what needs some fails, and gives back those that it had opened by then. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'

/** Tries with no free descriptor, with one and so on, and says how many more are open after each try that failed. */
const TRY = `
import { closeSync, openSync, readdirSync } from 'node:fs'
import { setImmediate as turn } from 'node:timers/promises'

// Nothing of what is tried keeps a process alive.
setInterval(() => {}, 1000)

async function tries(attempt) {
  const open = () => readdirSync('/proc/self/fd').length
  const leaks = []
  // What Node opens once and keeps.
  await attempt()
  for (let free = 0; ; free++) {
    const before = open()
    const filler = []
    try {
      for (;;) filler.push(openSync('/dev/null', 'r'))
    } catch {}
    for (const descriptor of filler.splice(0, free)) closeSync(descriptor)
    let failure
    try {
      await attempt()
    } catch (error) {
      failure = error
    }
    for (const descriptor of filler) closeSync(descriptor)
    if (!failure) return { leaks, fits: free }
    if (!/EMFILE|too many open files/i.test(failure.message)) throw failure
    // What is a stream is closed a little later.
    for (let turns = 0; turns < 10; turns++) await turn()
    leaks.push(open() - before)
  }
}
`

interface Tried {
  leaks: number[]
  fits: number
}

function tried(imports: string, attempt: string): Tried {
  const directory = mkdtempSync(join(tmpdir(), 'caisson-files-'))
  onTestFinished(() => rmSync(directory, { recursive: true }))
  execFileSync(
    'mkfifo',
    ['stdin', 'stdout', 'stderr', 'resize', 'alive'].map((name) => join(directory, name)),
  )
  const from = (file: string): string => JSON.stringify(join(import.meta.dirname, file))
  const program = `${TRY}
import * as pipes from ${from('process-pipes.ts')}
import { killProcess } from ${from('process-identity.ts')}
import { launchProcess } from ${from('launched-process.ts')}
const directory = ${JSON.stringify(directory)}
${imports}
console.log(JSON.stringify(await tries(async () => { ${attempt} })))
process.exit()`
  const args = ['--nofile=64', process.execPath, '--input-type=module', '--eval', program]
  return JSON.parse(execFileSync('prlimit', args, { encoding: 'utf8' })) as Tried
}

test.each([
  ['the pipes of a process', 'pipes.openPipes(directory, { tty: false, stdin: true })', 9],
  ['the pipes of a process without input', 'pipes.openPipes(directory, { tty: false, stdin: false })', 7],
  ['the pipes of a process with a terminal', 'pipes.openTerminalPipes(directory)', 3],
])('%s are all opened or none of them', (_what, attempt, least) => {
  const { leaks, fits } = tried('', attempt)
  expect(leaks.filter((count) => count !== 0)).toEqual([])
  expect([fits, leaks.length]).toEqual([least, least])
})

test('whether a process is there to be killed is not known without', () => {
  // It has another start than that.
  expect(tried('', "killProcess(process.pid, 'another', 'SIGKILL')")).toEqual({ leaks: [0], fits: 1 })
})

test('what is launched opens all that it needs or nothing', () => {
  const request = `{ directory, launch: '/bin/true', command: { program: '/bin/true', args: [], env: {} }, stdio: ['ignore', 'ignore', 'ignore'], hold: [], joins: [] }`
  const { leaks, fits } = tried(
    `const request = ${request}`,
    // It ends at once, which is not what is looked for.
    'using launched = launchProcess(request); await launched.command.catch((error) => { if (/EMFILE/.test(error.message)) throw error })',
  )
  expect(leaks.filter((count) => count !== 0)).toEqual([])
  expect(leaks).toHaveLength(fits)
})
