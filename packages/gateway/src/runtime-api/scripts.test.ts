/** The scripts as shells run them: dash, bash and busybox, in a directory that stands for a sandbox's. */
import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { CLEAN, DELETE, EXISTS, quoted, READ, RUN, WRITE } from './scripts.ts'

// bash takes a standard input that is a socket, as tests have, for a remote shell’s, and would read its files.
const SHELLS = ['dash', 'bash --norc --posix', 'busybox sh'].filter((shell) => isThere(shell.split(' ')[0] ?? ''))

function isThere(program: string): boolean {
  return spawnSync('sh', ['-c', `command -v ${program}`]).status === 0
}

let outside: string
let base: string
beforeEach(() => {
  outside = mkdtempSync(join(tmpdir(), 'scripts-'))
  base = join(outside, 'base')
  mkdirSync(base)
  writeFileSync(join(outside, 'secret'), 'secret')
})
afterEach(() => rmSync(outside, { recursive: true, force: true }))

test('there is a shell to test with', () => {
  expect(SHELLS.length).toBeGreaterThan(0)
})

describe.each(SHELLS)('%s', (shell) => {
  interface RunOptions {
    input?: string | Buffer
    env?: Record<string, string>
    cwd?: string
  }

  /** With the base directory as the usual one. */
  function run(script: string, args: string[], { input = '', env = {}, cwd = '/' }: RunOptions = {}) {
    const [program = '', ...options] = shell.split(' ')
    const { stdout, stderr, status } = spawnSync(program, [...options, '-c', script, 'sh', base, ...args], {
      input,
      cwd,
      env: { PATH: process.env['PATH'] ?? '', ...env },
    })
    const end = stdout.indexOf('\n')
    return {
      said: stdout.subarray(0, end).toString(),
      rest: stdout.subarray(end + 1),
      stderr: stderr.toString(),
      status,
    }
  }
  const said = (script: string, ...args: string[]): string => run(script, args).said

  test('files are read, with what they are', () => {
    writeFileSync(join(base, "a 'b\n$x"), Buffer.from([0, 255, 10, 10]))
    const { size, mtimeMs } = statSync(join(base, "a 'b\n$x"))
    const { said, rest } = run(READ, ["a 'b\n$x", ''])
    expect({ said, rest }).toEqual({
      said: `ok file ${size} ${Math.floor(mtimeMs / 1000)}`,
      rest: Buffer.from([0, 255, 10, 10]),
    })
    expect(run(READ, ["a 'b\n$x", 'head']).rest).toEqual(Buffer.alloc(0))
  })

  test('files are read in part', () => {
    writeFileSync(join(base, 'digits'), '0123456789')
    const part = (from: number, count: number): string =>
      run(READ, ['digits', '', String(from), String(count)]).rest.toString()
    expect([part(1, 1), part(3, 4), part(9, 2), part(10, 5)]).toEqual(['0', '2345', '89', '9'])
  })

  test('what cannot be read is said', () => {
    execFileSync('mkfifo', [join(base, 'fifo')])
    mkdirSync(join(base, 'd'))
    expect(['none', 'd/none/deep', 'fifo', 'd'].map((path) => said(READ, path, 'head'))).toEqual([
      'no missing',
      'no missing',
      'no special',
      'ok directory',
    ])
  })

  test('directories are listed, hidden ones and odd names too', () => {
    for (const name of ['a', '.hidden', '..odd', 'b\nc', '-n', '*']) writeFileSync(join(base, name), name)
    symlinkSync('a', join(base, 'link'))
    symlinkSync('none', join(base, 'dangling'))
    symlinkSync('../secret', join(base, 'out'))
    mkdirSync(join(base, 'd'))
    const { said, rest } = run(READ, ['', ''])
    const lines = rest.toString().split('\n')
    const count = Number(lines[0])
    const names = lines
      .slice(1 + count)
      .join('\n')
      .split('\0')
      .slice(0, -1)
    expect({ said, names: names.sort() }).toEqual({
      said: 'ok directory',
      names: ['*', '-n', '..odd', '.hidden', 'a', 'b\nc', 'd', 'link'].sort(),
    })
    expect(run(READ, ['d', '']).rest.toString()).toBe('')
  })

  test('a directory with more entries than one call of a tool takes', () => {
    for (let index = 0; index < 1203; index++) writeFileSync(join(base, String(index)), '')
    const { rest } = run(READ, ['', ''])
    expect(rest.toString().split('\0').length - 1).toBe(1203)
  })

  test('files are written whole, with their directories', () => {
    expect(run(WRITE, ['d/e/f', '0600', '.tmp'], { input: 'content\n\n' }).said).toBe('ok')
    expect(readFileSync(join(base, 'd/e/f'), 'utf8')).toBe('content\n\n')
    expect(statSync(join(base, 'd/e/f')).mode & 0o777).toBe(0o600)
    expect(readdirSync(join(base, 'd/e'))).toEqual(['f'])
  })

  test('a file that is there keeps its mode where none is said, and a new one is anybody’s to read', () => {
    writeFileSync(join(base, 'old'), 'old')
    chmodSync(join(base, 'old'), 0o750)
    run(WRITE, ['old', '', '.tmp'], { input: 'new' })
    run(WRITE, ['new', '', '.tmp'], { input: 'new' })
    expect(
      ['old', 'new'].map((name) => [readFileSync(join(base, name), 'utf8'), statSync(join(base, name)).mode & 0o777]),
    ).toEqual([
      ['new', 0o750],
      ['new', 0o644],
    ])
  })

  test('what cannot be written is said, and leaves nothing', () => {
    writeFileSync(join(base, 'file'), 'x')
    mkdirSync(join(base, 'd'))
    const { said, stderr } = run(WRITE, ['file/f', '', '.tmp'], { input: 'x' })
    expect({ said, complains: stderr !== '' }).toEqual({ said: 'no failed', complains: true })
    expect(run(WRITE, ['d', '', '.tmp'], { input: 'x' }).said).toBe('no directory')
    expect(readdirSync(base).sort()).toEqual(['d', 'file'])
  })

  test('what was left half written is taken away', () => {
    mkdirSync(join(base, 'd'))
    writeFileSync(join(base, 'd/.tmp'), 'half')
    expect(said(CLEAN, 'd/f', '.tmp')).toBe('ok')
    expect(readdirSync(join(base, 'd'))).toEqual([])
  })

  test('links are followed within the directory, and never out of it', () => {
    mkdirSync(join(base, 'd'))
    writeFileSync(join(base, 'd/f'), 'inside')
    symlinkSync('d', join(base, 'in'))
    symlinkSync('..', join(base, 'up'))
    symlinkSync('/etc', join(base, 'etc'))
    symlinkSync('../secret', join(base, 'secret'))
    symlinkSync('../new', join(base, 'new'))
    symlinkSync('../base-else', join(base, 'else'))
    mkdirSync(join(outside, 'base-else'))
    expect(run(READ, ['in/f', '']).rest.toString()).toBe('inside')
    for (const path of ['up', 'up/secret', 'etc/passwd', 'secret', 'else', 'up/none', 'etc/none/deep'])
      expect([path, said(READ, path, ''), said(EXISTS, path)]).toEqual([path, 'no escape', 'no escape'])
    for (const path of ['up/new', 'secret', 'new', 'etc/x', 'else/x'])
      expect([path, run(WRITE, [path, '', '.tmp'], { input: 'x' }).said]).toEqual([path, 'no escape'])
    expect([said(DELETE, 'up/secret', ''), said(RUN, 'up', '0', '', 'pwd')]).toEqual(['no escape', 'no escape'])
    expect(readFileSync(join(outside, 'secret'), 'utf8')).toBe('secret')
    expect(readdirSync(outside).sort()).toEqual(['base', 'base-else', 'secret'])
    expect(readdirSync(join(outside, 'base-else'))).toEqual([])
  })

  test('files and directories are removed, and links themselves', () => {
    mkdirSync(join(base, 'd/e'), { recursive: true })
    writeFileSync(join(base, 'd/.hidden'), '')
    writeFileSync(join(base, 'f'), '')
    symlinkSync('../secret', join(base, 'link'))
    symlinkSync('..', join(base, 'up'))
    expect([
      said(DELETE, 'd', ''),
      said(DELETE, 'd/e', ''),
      said(DELETE, 'd', 'recursive'),
      said(DELETE, 'f', ''),
      said(DELETE, 'f', ''),
      said(DELETE, 'link', ''),
      said(DELETE, 'up', 'recursive'),
      said(DELETE, '', ''),
    ]).toEqual(['no notempty', 'ok', 'ok', 'ok', 'no missing', 'ok', 'ok', 'no root'])
    expect([readdirSync(base), existsSync(join(outside, 'secret'))]).toEqual([[], true])
    writeFileSync(join(base, '.x'), '')
    expect([said(DELETE, '', 'recursive'), readdirSync(base), lstatSync(base).isDirectory()]).toEqual(['ok', [], true])
  })

  test('exists', () => {
    writeFileSync(join(base, 'f'), '')
    expect([said(EXISTS, 'f'), said(EXISTS, 'none'), said(EXISTS, 'none/f'), said(EXISTS, '')]).toEqual([
      'ok yes',
      'ok no',
      'ok no',
      'ok yes',
    ])
  })

  test('commands run in the directory, and say who they are first', () => {
    mkdirSync(join(base, 'd'))
    const { said, rest, status } = run(RUN, [
      'd',
      '0',
      '',
      'sh',
      '-c',
      'echo $$; pwd; printf "%s|" "$@"; exit 7',
      'x',
      'a b',
      "'",
      '',
    ])
    const pid = /^ok (\d+)$/.exec(said)?.[1]
    expect({ rest: rest.toString(), status }).toEqual({ rest: `${pid}\n${base}/d\na b|'||`, status: 7 })
    expect([run(RUN, ['', '0', '', 'no-such-command']).said, run(RUN, ['none', '0', '', 'pwd']).said]).toEqual([
      'no command',
      'no workdir',
    ])
  })

  test('a terminal has its size before the command begins', () => {
    const onTerminal = [
      '-c',
      'import pty, sys; pty.spawn(sys.argv[1:])',
      ...shell.split(' '),
      '-c',
      RUN,
      'sh',
      base,
      '',
    ]
    const { stdout } = spawnSync('python3', [...onTerminal, '0', 'rows 12 cols 34', 'stty', 'size'])
    expect(stdout.toString()).toMatch(/^ok \d+\r\n12 34\r\n$/)
  })

  test('words and environment come by the standard input, and the rest of it is the command’s', async () => {
    const words = ['sh', '-c', 'printf "%s|" "$1" "$V"; cat', 'x', "'\n$(x)" + 'y'.repeat(100_000)]
    const preamble = `export V=${quoted("a'\n$(echo b)`c`\\")}\nset -- ${words.map(quoted).join(' ')}\n`
    const [program = '', ...flags] = shell.split(' ')
    const args = ['-c', RUN, 'sh', base, '', String(Buffer.byteLength(preamble)), '']
    const child = spawn(program, [...flags, ...args], { stdio: ['pipe', 'pipe', 'inherit'] })
    child.stdin.write(preamble)
    // What follows is sent to a command that has begun: tools may read more at once than they are asked to.
    const said = (await once(child.stdout, 'data')) as [Buffer]
    child.stdin.end('input')
    const output = Buffer.concat([...said, await buffer(child.stdout)])
    const rest = output.subarray(output.indexOf('\n') + 1)
    const [word, ...more] = rest.toString().split('|')
    expect([word === words[4], ...more]).toEqual([true, "a'\n$(echo b)`c`\\", 'input'])
  })

  test('the directory is the one that the environment names, else the usual one, else where it is, or what it may use', () => {
    const where = (script: string, usual: string, options: RunOptions) => {
      const [program = '', ...flags] = shell.split(' ')
      return spawnSync(program, [...flags, '-c', script, 'sh', usual, '', '0', '', 'pwd'], {
        cwd: options.cwd ?? '/',
        env: { PATH: process.env['PATH'] ?? '', ...options.env },
      })
        .stdout.toString()
        .split('\n')[1]
    }
    mkdirSync(join(outside, 'named'))
    expect([
      where(RUN, base, { env: { SANDBOX_BASE_DIR: join(outside, 'named') } }),
      where(RUN, base, { env: { SANDBOX_BASE_DIR: join(outside, 'none') } }),
      where(RUN, '/none', { cwd: outside }),
      where(RUN, '/none', { cwd: '/' }),
    ]).toEqual([join(outside, 'named'), base, outside, process.getuid?.() === 0 ? '/' : expect.any(String)])
  })
})
