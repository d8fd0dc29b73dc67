import { existsSync, rmSync } from 'node:fs'
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
  await listen(path)
  process.on('exit', () => rmSync(path, { force: true }))
}

/** As `ensureEvents`, for as long as `use` takes. */
export async function withEvents<T>(path: string, use: () => Promise<T>): Promise<T> {
  if (await answers(path)) return await use()
  using _ = await listen(path)
  try {
    return await use()
  } finally {
    rmSync(path, { force: true })
  }
}

/** Takes away what a process has left that was killed while it served. */
export async function forgetEvents(path: string): Promise<void> {
  if (existsSync(path) && !(await answers(path))) rmSync(path, { force: true })
}

async function listen(path: string): Promise<Disposable> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 })
  rmSync(path, { force: true })
  return await answerEverything(path)
}

function answers(path: string): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>()
  const probe = connect(path)
  probe.on('connect', () => resolve(true)).on('error', () => resolve(false))
  return promise.finally(() => probe.destroy())
}
