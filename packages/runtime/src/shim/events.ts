import { rmSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { connect } from 'node:net'
import { dirname } from 'node:path'
import { answerEverything } from './ttrpc.ts'

let serving: Promise<void> | undefined

/**
 * Shims do not start unless somebody takes their events. All that is to be known is asked for, so that nobody reads them.
 * There as long as this process.
 */
export async function ensureEvents(path: string): Promise<void> {
  serving ??= serve(path).catch((error: unknown) => {
    serving = undefined
    throw error
  })
  await serving
}

async function serve(path: string): Promise<void> {
  if (await answers(path)) return
  await mkdir(dirname(path), { recursive: true, mode: 0o700 })
  rmSync(path, { force: true })
  await answerEverything(path)
  process.on('exit', () => rmSync(path, { force: true }))
}

function answers(path: string): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>()
  const probe = connect(path)
  probe.on('connect', () => resolve(true)).on('error', () => resolve(false))
  return promise.finally(() => probe.destroy())
}
