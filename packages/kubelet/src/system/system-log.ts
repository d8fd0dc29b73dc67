/**
 * What a process of the cluster's own says, kept as the log of its Pod: in the format of containers' logs, within a bound,
 * and with that of the process before it.
 */
import { closeSync, existsSync, fstatSync, mkdirSync, openSync, renameSync, rmSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { showControlCharacters } from '@caisson/api'

export interface SystemLogOptions {
  /** Made where it is missing. */
  directory: string
  /** Of the file, without `.log`. */
  name: string
  /** ms since the epoch. */
  now: () => number
  /** Bytes at which the file is put aside, in the place of the one before. Default 4 MiB. */
  maxBytes?: number
}

export interface SystemLog extends Disposable {
  /** Of this process. */
  path: string
  /** Of the one before it; undefined where there is none. */
  previousPath(): string | undefined
  /** One line, without its end. What cannot be written is dropped: nothing depends on it. */
  write(line: string): void
}

const MAX_BYTES = 4 * 1024 * 1024
/** Characters. */
const LONGEST_LINE = 4_000

export function createSystemLog({ directory, name, now, maxBytes = MAX_BYTES }: SystemLogOptions): SystemLog {
  mkdirSync(directory, { recursive: true, mode: 0o700 })
  const path = join(directory, `${name}.log`)
  const previous = join(directory, `${name}.previous.log`)
  if (existsSync(path)) renameSync(path, previous)
  else rmSync(previous, { force: true })
  rmSync(`${path}.1`, { force: true })
  let file: number | undefined = open(path)

  function putAside(): void {
    if (file === undefined || fstatSync(file).size < maxBytes) return
    renameSync(path, `${path}.1`)
    closeSync(file)
    file = open(path)
  }

  return {
    path,
    previousPath: () => (existsSync(previous) ? previous : undefined),
    write(line) {
      if (file === undefined) return
      try {
        putAside()
        writeSync(file, `${new Date(now()).toISOString()} stderr F ${oneLine(line)}\n`)
      } catch {
        // A full disk: what goes on is worth more than what is said of it.
      }
    },
    [Symbol.dispose]() {
      if (file !== undefined) closeSync(file)
      file = undefined
    },
  }
}

function open(path: string): number {
  return openSync(path, 'a', 0o600)
}

function oneLine(text: string): string {
  const cut = text.length > LONGEST_LINE ? `${text.slice(0, LONGEST_LINE)}…` : text
  return showControlCharacters(cut, '\t')
}
