import { randomBytes } from 'node:crypto'
import { mkdirSync, readdirSync, renameSync } from 'node:fs'
import { join } from 'node:path'
import { runCommand } from '../tools/run-command.ts'

/** Named pipes made ahead: Node cannot make one, and starting `mkfifo` in the path of each container costs milliseconds. */
export interface FifoPool {
  /** Moves a fresh pipe to each of these paths, which must be on the same file system. */
  place(paths: string[]): Promise<void>
  /** Resolves when nothing is being made: `mkfifo` is a process of its own and would go on after this one's end. */
  settled(): Promise<void>
}

const BATCH = 64
const LOW = 24

export function createFifoPool(directory: string): FifoPool {
  mkdirSync(directory, { recursive: true, mode: 0o700 })
  const ready = readdirSync(directory).map((name) => join(directory, name))
  let refill: Promise<void> | undefined

  function makeMore(): Promise<void> {
    refill ??= make().finally(() => {
      refill = undefined
    })
    return refill
  }

  async function make(): Promise<void> {
    const batch = randomBytes(4).toString('hex')
    const paths = Array.from({ length: BATCH }, (_, index) => join(directory, `${batch}-${index}`))
    const { exitCode, stderr } = await runCommand('mkfifo', ['-m', '600', ...paths])
    if (exitCode !== 0) throw new Error(`mkfifo failed: ${stderr.trim()}`)
    ready.push(...paths)
  }

  return {
    async place(paths) {
      while (ready.length < paths.length) await makeMore()
      for (const path of paths) {
        const fifo = ready.pop()
        if (fifo) renameSync(fifo, path)
      }
      // A failure shows when the pool is empty; until then nobody waits for it.
      if (ready.length < LOW) makeMore().catch(() => {})
    },

    async settled() {
      await refill?.catch(() => {})
    },
  }
}
