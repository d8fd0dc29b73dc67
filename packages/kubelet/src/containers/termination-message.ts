/** What a container had to say at its end: in a file of its own, or else the end of its log. */
import { chmod, mkdir, open, readdir, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Container } from 'kubernetes-types/core/v1.d.ts'
import { parseLogRecord } from '../streaming/log-record.ts'

/** kubelet's bounds. */
const MESSAGE_BYTES = 4096
const LOG_BYTES = 2048
const LOG_LINES = 80
/** Beside the one that begins: what the newest one that ended said, and the one before it. */
const RUNS_KEPT = 2

/** Makes the file for a run's last words, and removes those of runs of which nobody is told any more. */
export async function makeTerminationMessage(path: string, restartCount: number): Promise<void> {
  const directory = dirname(path)
  await mkdir(directory, { recursive: true, mode: 0o700 })
  const names = restartCount > RUNS_KEPT ? await readdir(directory) : []
  const outlived = names.filter((name) => Number.parseInt(name, 10) < restartCount - RUNS_KEPT)
  await Promise.all(outlived.map((name) => rm(join(directory, name), { force: true })))
  await writeFile(path, '')
  // Any user of the container may write them.
  await chmod(path, 0o666)
}

/** Undefined where it said nothing. Files that are gone say nothing. Of a file that says more only the end is kept. */
export async function terminationMessage(
  container: Container | undefined,
  files: { message: string; log: string; exitCode: number },
): Promise<string | undefined> {
  const said = await keepEnd(files.message, MESSAGE_BYTES)
  if (said.length > 0) return said.toString('utf8')
  if (container?.terminationMessagePolicy !== 'FallbackToLogsOnError' || files.exitCode === 0) return undefined
  // Records are longer than their text.
  const end = await readEnd(files.log, 4 * LOG_BYTES + 100 * LOG_LINES)
  const text = Buffer.concat(lines(end).map((line) => parseLogRecord(line)?.text ?? Buffer.alloc(0)))
  const tail = lines(text.subarray(-LOG_BYTES)).slice(-LOG_LINES)
  return Buffer.concat(tail).toString('utf8') || undefined
}

/** It is the container's no more: what it holds beyond its last words is nobody's. */
async function keepEnd(path: string, bytes: number): Promise<Buffer> {
  const end = await readEnd(path, bytes)
  if (end.length < bytes) return end
  try {
    await using file = await open(path, 'r+')
    await file.write(end, 0, end.length, 0)
    await file.truncate(end.length)
  } catch {
    // It is measured as it is, and goes with the Pod.
  }
  return end
}

async function readEnd(path: string, bytes: number): Promise<Buffer> {
  try {
    await using file = await open(path, 'r')
    const { size } = await file.stat()
    const buffer = Buffer.alloc(Math.min(size, bytes))
    const { bytesRead } = await file.read(buffer, 0, buffer.length, size - buffer.length)
    return buffer.subarray(0, bytesRead)
  } catch {
    return Buffer.alloc(0)
  }
}

/** With their newlines. */
function lines(bytes: Buffer): Buffer[] {
  const found: Buffer[] = []
  let start = 0
  while (start < bytes.length) {
    const end = bytes.indexOf(0x0a, start)
    const next = end < 0 ? bytes.length : end + 1
    found.push(bytes.subarray(start, next))
    start = next
  }
  return found
}
