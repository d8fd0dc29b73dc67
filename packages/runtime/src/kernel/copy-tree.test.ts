import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { copyTree, type TreeCopy } from './copy-tree.ts'

const isRoot = process.getuid?.() === 0

let root: string
let source: string
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'caisson-copy-tree-'))
  source = join(root, 'source')
  mkdirSync(source)
})
/** Takes back what a test has begun. */
let undo: Array<() => void> = []
afterEach(() => {
  for (const step of undo) step()
  undo = []
  // Node's own does not remove what is nested too deep.
  execFileSync('rm', ['-rf', root])
})

let copies = 0
async function copy(options: Partial<TreeCopy> = {}): Promise<string> {
  const target = options.target ?? join(root, `copy-${++copies}`)
  mkdirSync(target, { recursive: true })
  await copyTree({ source, target, programs: join(root, 'programs'), signal: new AbortController().signal, ...options })
  return target
}

function python(script: string, ...args: string[]): string {
  return execFileSync('python3', ['-c', script, ...args], { encoding: 'utf8' })
}

/** Begins a script that says so, and goes on until the test ends. */
async function meanwhile(script: string, ...args: string[]): Promise<void> {
  const process = spawn('python3', ['-c', script, ...args], { stdio: ['ignore', 'pipe', 'inherit'] })
  const ended = once(process, 'exit')
  undo.push(() => process.kill('SIGKILL'))
  await Promise.race([once(process.stdout, 'data'), ended])
}

/** All that a copy keeps, and whether it has holes. */
const DESCRIBE = `
import hashlib, os, stat, sys
os.chdir(sys.argv[1])
first = {}
for path, directories, files in os.walk(b'.'):
    directories.sort()
    for name in [b''] * (path == b'.') + sorted(directories + files):
        name = os.path.join(path, name)
        s = os.lstat(name)
        shown = [name, oct(s.st_mode), s.st_uid, s.st_gid, s.st_mtime_ns, s.st_rdev]
        if not stat.S_ISDIR(s.st_mode):
            shown += [s.st_size, first.setdefault(s.st_ino, name)]
        if stat.S_ISLNK(s.st_mode):
            shown += [os.readlink(name)]
        if stat.S_ISREG(s.st_mode):
            shown += [s.st_atime_ns, s.st_blocks * 512 < s.st_size, hashlib.sha256(open(os.open(name, os.O_RDONLY | os.O_NOATIME), 'rb').read()).hexdigest()]
        shown += [(key, os.getxattr(name, key, follow_symlinks=False)) for key in sorted(os.listxattr(name, follow_symlinks=False))]
        print(*shown)
`

const describeTree = (directory: string): string[] => python(DESCRIBE, directory).split('\n')

const OF_ALL_KINDS = `
import os, socket, struct, sys
os.chdir(sys.argv[1])
os.mkdir('directory'); os.makedirs('deep/er/est')
for name, content in {'empty': '', 'file': 'content', 'deep/er/file': 'deep', 'directory/many lines': 'x' * 3000000}.items():
    open(name, 'w').write(content)
open(b'bytes \\xff\\n', 'w').write('no text')
for number in range(300):
    open(f'directory/{number}', 'w').write(str(number))
os.chmod('file', 0o4751); os.chmod('deep', 0o1777); os.chmod('directory', 0o2750)
os.link('file', 'deep/again'); os.link('file', 'deep/er/est/and again')
os.symlink('/etc/passwd', 'link'); os.symlink('nowhere', 'deep/dangling'); os.link('link', 'deep/same link', follow_symlinks=False)
os.mkfifo('pipe', 0o622)
socket.socket(socket.AF_UNIX).bind('socket')
with open('holes', 'wb') as file:
    for at in range(0, 200 * 65536, 65536):
        file.seek(at); file.write(b'data' * 10)
    file.truncate(20000000)
with open('only a hole', 'wb') as file:
    file.truncate(1 << 20)
os.setxattr('file', 'user.told', b'\\0binary'); os.setxattr('directory', 'user.kept', b''); os.setxattr('deep', 'user.long', b'l' * 2000)
if os.getuid() == 0:
    os.mknod('device', 0o20640, os.makedev(4095, 1048575))
    os.chown('deep/er/file', 1234, 4294967294); os.lchown('link', 5, 6); os.chown('pipe', 7, 8); os.chown('directory', 9, 10)
    # What new files in it get: the copy's are as the source's were before.
    acl = struct.pack('<I', 2) + b''.join(struct.pack('<HHI', *entry) for entry in [(1, 7, 2**32 - 1), (2, 7, 1234), (4, 5, 2**32 - 1), (16, 7, 2**32 - 1), (32, 5, 2**32 - 1)])
    os.setxattr('directory', 'system.posix_acl_default', acl)
    os.setxattr('file', 'security.capability', struct.pack('<IIIII', 0x02000000, 1 << 10, 0, 0, 0))
for path, directories, files in os.walk('.', topdown=False):
    for name in files + directories + ['']:
        os.utime(os.path.join(path, name), ns=(1500000000123456789, 1600000000987654321), follow_symlinks=False)
`

test('a copy is what its source is', async () => {
  python(OF_ALL_KINDS, source)
  const expected = describeTree(source)
  let bytes = 0
  const target = await copy({ counted: (more) => (bytes += more) })
  expect(describeTree(target)).toEqual(expected)
  expect(bytes).toBeGreaterThan(20_000_000 + 3_000_000)
})

test.runIf(isRoot)('what is mounted in a tree is no part of it', async () => {
  mkdirSync(join(source, 'mounted'))
  execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', join(source, 'mounted')])
  undo.push(() => execFileSync('umount', [join(source, 'mounted')]))
  writeFileSync(join(source, 'mounted', 'file'), '')
  expect(readdirSync(await copy(), { recursive: true })).toEqual(['mounted'])
})

test.runIf(isRoot)('from one file system to another', async () => {
  python(OF_ALL_KINDS, source)
  const expected = describeTree(source)
  const target = join(root, 'memory')
  mkdirSync(target)
  execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', target])
  undo.push(() => execFileSync('umount', [target]))
  await copy({ target })
  expect(describeTree(target)).toEqual(expected)
})

test('a terabyte of nothing takes no room', async () => {
  writeFileSync(join(source, 'vast'), 'x')
  truncateSync(join(source, 'vast'), 1024 ** 4)
  const { size, blocks } = statSync(join(await copy(), 'vast'))
  expect([size, blocks * 512]).toEqual([1024 ** 4, statSync(join(source, 'vast')).blocks * 512])
})

test('whoever counts the bytes ends the copying before they are copied', async () => {
  writeFileSync(join(source, 'file'), 'content')
  const target = join(root, 'target')
  const counted = (bytes: number): void => {
    if (bytes === 'content'.length) throw new Error('too many')
  }
  await expect(copy({ target, counted })).rejects.toThrow('too many')
  expect(readdirSync(target)).toEqual([])
})

test('of many files with several names each counts', async () => {
  python(
    'import os, sys; os.chdir(sys.argv[1]); [(open(str(n), "w"), os.link(str(n), f"{n}-too")) for n in range(50)]',
    source,
  )
  let bytes = 0
  await copy({ counted: (more) => (bytes += more) })
  expect(bytes).toBe(statSync(source).size + 50 * 4096)
})

test('what is nested too deep is an error', async () => {
  python(
    'import os, sys; os.chdir(sys.argv[1]); [(os.mkdir("d" * 200), os.chdir("d" * 200)) for _ in range(30)]',
    source,
  )
  const target = join(root, 'target')
  await expect(copy({ target })).rejects.toMatchObject({ code: 'ENAMETOOLONG' })
})

test('what is in the target already is an error, and stays', async () => {
  writeFileSync(join(source, 'file'), 'of the source')
  const target = join(root, 'target')
  mkdirSync(target)
  symlinkSync(join(root, 'outside'), join(target, 'file'))
  await expect(copy({ target })).rejects.toMatchObject({ code: 'EEXIST' })
  expect([existsSync(join(root, 'outside')), readdirSync(target)]).toEqual([false, ['file']])
})

test('a copy is given up when nobody wants it any more, and nothing is written afterwards', async () => {
  writeFileSync(join(source, 'file'), Buffer.alloc(512 * 1024 * 1024))
  const stop = new AbortController()
  const target = join(root, 'target')
  const made = copy({ target, signal: stop.signal })
  await expect.poll(() => existsSync(join(target, 'file')), { interval: 1 }).toBe(true)
  stop.abort(new Error('stopped'))
  await expect(made).rejects.toThrow('stopped')
  expect(statSync(join(target, 'file')).blocks * 512).toBeLessThan(512 * 1024 * 1024)
  execFileSync('rm', ['-rf', target])
  expect(existsSync(target)).toBe(false)
})

describe('while somebody changes it', () => {
  /** Exchanges what has two names, for each of the names that a directory has. */
  const EXCHANGE = `
import ctypes, os, sys
libc = ctypes.CDLL(None)
os.chdir(sys.argv[1])
pairs = [(name.encode(), name.encode() + b'.other') for name in os.listdir('.') if not name.endswith('.other')]
print('begun', flush=True)
while True:
    for one, other in pairs:
        libc.renameat2(-100, one, -100, other, 2)
`

  test('a directory that becomes a link leads nowhere', async () => {
    const secret = join(root, 'secret')
    mkdirSync(secret)
    for (let number = 0; number < 20; number++) {
      writeFileSync(join(secret, `file-${number}`), 'of the machine')
      mkdirSync(join(source, `directory-${number}`))
      symlinkSync(secret, join(source, `directory-${number}.other`))
      for (let file = 0; file < 20; file++) writeFileSync(join(source, `directory-${number}`, `file-${file}`), '')
    }
    await meanwhile(EXCHANGE, source)
    for (let count = 0; count < 3; count++) {
      const found = python(
        'import os, sys; print(sum(os.lstat(os.path.join(path, name)).st_size for path, _, files in os.walk(sys.argv[1]) for name in files if not os.path.islink(os.path.join(path, name))))',
        await copy(),
      )
      expect(found).toBe('0\n')
    }
  })

  test.runIf(isRoot)('a file that becomes a device is not opened', async () => {
    // There is no such device, which whoever opens it hears of.
    for (let number = 0; number < 100; number++) {
      writeFileSync(join(source, `file-${number}`), 'content')
      execFileSync('mknod', [join(source, `file-${number}.other`), 'c', '4095', '1'])
    }
    await meanwhile(EXCHANGE, source)
    for (let count = 0; count < 3; count++) await copy()
  })

  test('of a file that grows the bytes are copied that were counted', async () => {
    // How the first is copied tells how the others are.
    await meanwhile(
      `
import sys
files = [open(f'{sys.argv[1]}/{name}', 'wb', buffering=0) for name in range(3)]
for at in range(1 << 10):
    for file in files:
        file.write(b'x' * 65536)
    if at == 0:
        print('begun', flush=True)
`,
      source,
    )
    for (let count = 0; count < 3; count++) {
      const bytes: number[] = []
      const target = await copy({ counted: (more) => void bytes.push(more) })
      const contents = readdirSync(target).map((name) => readFileSync(join(target, name)))
      expect(new Set(contents.map(({ length }) => length))).toEqual(new Set(bytes.slice(1)))
      expect(contents.map((content) => content.includes(0))).toEqual([false, false, false])
      rmSync(target, { recursive: true })
    }
  })
})
