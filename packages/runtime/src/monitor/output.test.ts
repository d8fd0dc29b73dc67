import { execFileSync, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { constants, mkdtempSync, openSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'
import { beforeEach, expect, onTestFinished, test } from 'vitest'
import { CARRIED_AT_ONCE, createOutput, type Output } from './output.ts'

let directory: string
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'caisson-output-'))
  onTestFinished(() => rmSync(directory, { recursive: true }))
})

/** A pipe, and the descriptor of its reading end. */
function pipe(name: string): { path: string; fd: number } {
  const path = join(directory, name)
  execFileSync('mkfifo', [path])
  return { path, fd: openSync(path, constants.O_RDONLY | constants.O_NONBLOCK) }
}

const LINES = 200_000

test('outputs that are full share each turn, and nothing of them is lost or out of order', async () => {
  const names = ['0', '1', '2', '3', '4', '5', '6', '7']
  const perTurn: number[] = []
  let bytes = 0
  let counting = setImmediate(function count() {
    perTurn.push(bytes)
    bytes = 0
    counting = setImmediate(count)
  })
  const written = names.map((container) => {
    const { path, fd } = pipe(container)
    const hash = createHash('sha256')
    const onChunk = (chunk: Buffer): boolean => {
      hash.update(chunk)
      bytes += chunk.length
      return true
    }
    const { ended } = createOutput({ fd, stream: 'stdout', container, onChunk })
    return { hash, ended, exited: once(spawn('sh', ['-c', `exec seq ${LINES} > ${path}`]), 'exit') }
  })
  await Promise.all(written.flatMap(({ ended, exited }) => [ended, exited]))
  clearImmediate(counting)
  const seq = execFileSync('seq', [String(LINES)], { maxBuffer: 1e8 })
  const expected = createHash('sha256').update(seq).digest('hex')
  expect(written.map(({ hash }) => hash.digest('hex'))).toEqual(names.map(() => expected))
  expect(perTurn.reduce((sum, each) => sum + each, bytes)).toBe(names.length * seq.length)
  expect(Math.max(...perTurn)).toBeLessThanOrEqual(CARRIED_AT_ONCE)
})

interface Full {
  outputs: Output[]
  /** Whose was carried on, in that order. */
  carried: string[]
  /** The first one was, and no turn has ended since. */
  begun: Promise<void>
}

/** Outputs with as much in the pipe of each as is carried on in one turn. */
async function full(...names: string[]): Promise<Full> {
  // What was carried on before has nothing to do with it.
  await turn()
  const carried: string[] = []
  const begun = Promise.withResolvers<void>()
  const pipes = names.map((container) => ({ container, ...pipe(container) }))
  for (const { path } of pipes) execFileSync('sh', ['-c', `head -c ${CARRIED_AT_ONCE} /dev/zero > ${path}`])
  const outputs = pipes.map(({ container, fd }) => {
    const onChunk = (): boolean => {
      carried.push(container)
      begun.resolve()
      return true
    }
    return createOutput({ fd, stream: 'stdout', container, onChunk })
  })
  return { outputs, carried, begun: begun.promise }
}

test('one that had to wait for its turn was held up, until it is asked again', async () => {
  const { outputs, carried } = await full('one', 'other')
  await Promise.all(outputs.map(({ ended }) => ended))
  expect(new Set(carried)).toEqual(new Set(['one', 'other']))
  expect(outputs.filter((each) => each.wasHeldUp())).toHaveLength(1)
  expect(outputs.filter((each) => each.wasHeldUp())).toEqual([])
})

test('one that is disposed of carries nothing on that waits for its turn', async () => {
  const { outputs, carried, begun } = await full('one', 'two', 'three')
  await begun
  await turn()
  expect(carried).toHaveLength(2)
  for (const output of outputs) output[Symbol.dispose]()
  await Promise.all(outputs.map(({ ended }) => ended))
  await turn()
  expect(carried).toHaveLength(2)
})
