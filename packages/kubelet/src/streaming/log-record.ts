/** One record of a container's log file: `<RFC3339Nano> <stdout|stderr> <tags> <text>`. */

export interface LogRecord {
  /** As the file has it, with nanoseconds. */
  timestamp: string
  stream: 'stdout' | 'stderr'
  /** With its newline, unless the record is a part of a longer line. */
  text: Buffer
}

const SPACE = 0x20
const NEWLINE = 0x0a
const PARTIAL = 0x50

/** @param line one line of the file, with or without its newline. Undefined where it is no record. */
export function parseLogRecord(line: Buffer): LogRecord | undefined {
  const afterTime = line.indexOf(SPACE)
  if (afterTime < 20 || afterTime > 40) return undefined
  const afterStream = line.indexOf(SPACE, afterTime + 1)
  if (afterStream < 0) return undefined
  const afterTags = line.indexOf(SPACE, afterStream + 1)
  if (afterTags < 0) return undefined
  const stream = line.toString('latin1', afterTime + 1, afterStream)
  if (stream !== 'stdout' && stream !== 'stderr') return undefined
  // Tags are separated by colons, the first says whether the line goes on in the next record.
  const partial = line[afterStream + 1] === PARTIAL && line.indexOf(':', afterStream + 1) !== afterStream + 1
  const end = partial && line[line.length - 1] === NEWLINE ? line.length - 1 : line.length
  return { timestamp: line.toString('latin1', 0, afterTime), stream, text: line.subarray(afterTags + 1, end) }
}
