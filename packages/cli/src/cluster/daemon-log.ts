/**
 * What the cluster says of its failures. Tenants cause many of them and choose words in them: whatever they do, the log
 * stays small, one line is one message, and one failure that goes on does not push out all others.
 */
import { copyFileSync, fstatSync, rmSync, statSync, truncateSync, writeSync } from 'node:fs'
import { oneLine } from '../terminal-text.ts'

export interface DaemonLogOptions {
  /** Where it goes, line by line. */
  descriptor: number
  /** Kept small where the descriptor is this file, open for appending: its content goes to `FILE.1` when it is full. */
  file: string
  now(): number
  /** Bytes at which the file is full. Default 8 MiB. */
  maxBytes?: number
}

export type DaemonLog = (where: string, message: string) => void

const MAX_BYTES = 8 * 1024 * 1024
const PERIOD_MS = 60_000
/** Messages of one place in a period; the first that is left out is said. */
const MOST_OF_ONE = 20
/** Places that are told apart in a period; all further ones count as one. */
const MOST_PLACES = 500
/** Characters. */
const LONGEST_PLACE = 300
const LONGEST_MESSAGE = 2_000

export function createDaemonLog({ file, now, maxBytes = MAX_BYTES, descriptor }: DaemonLogOptions): DaemonLog {
  const isOurs = isSameFile(descriptor, file)
  /** Lines that could not be written, on a full disk above all: what they are about goes on. */
  let lost = 0
  let periodEnds = Number.NEGATIVE_INFINITY
  const said = new Map<string, number>()

  function write(time: number, line: string): void {
    const at = new Date(time).toISOString()
    try {
      if (isOurs && fstatSync(descriptor).size >= maxBytes) putAside(file)
      if (lost > 0) writeSync(descriptor, `${at} ${lost} messages before this one could not be written\n`)
      lost = 0
      writeSync(descriptor, `${at} ${line}\n`)
    } catch {
      lost++
    }
  }

  return (where, message) => {
    const time = now()
    if (time >= periodEnds) {
      periodEnds = time + PERIOD_MS
      said.clear()
    }
    const shown = shortened(where, LONGEST_PLACE)
    const place = said.has(shown) || said.size < MOST_PLACES ? shown : ''
    const count = (said.get(place) ?? 0) + 1
    said.set(place, count)
    if (count <= MOST_OF_ONE) write(time, `${shown}: ${shortened(message, LONGEST_MESSAGE)}`)
    else if (count === MOST_OF_ONE + 1) {
      const seconds = Math.ceil((periodEnds - time) / 1000)
      write(time, `${place || 'other places'}: more of it is not logged for ${seconds} s`)
    }
  }
}

/** By copying: the process that started this one, and this one's own standard error, have the very file open. */
function putAside(file: string): void {
  try {
    copyFileSync(file, `${file}.1`)
  } catch {
    // On a full disk the old messages are what can be done without.
    rmSync(`${file}.1`, { force: true })
  }
  truncateSync(file)
}

function isSameFile(descriptor: number, file: string): boolean {
  const [one, other] = [fstatSync(descriptor), statSync(file, { throwIfNoEntry: false })]
  return one.isFile() && one.ino === other?.ino && one.dev === other.dev
}

function shortened(text: string, longest: number): string {
  return oneLine(text.length > longest ? `${text.slice(0, longest)}…` : text)
}
