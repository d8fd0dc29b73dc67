import { type Architecture, assemble, MEMORY_ADDRESS, memorySize, type Program, TEXT_ADDRESS } from './assembler.ts'

const HEADER_SIZE = 64
const SEGMENT_SIZE = 56
// The largest page size of arm64; amd64 does not mind.
const ALIGNMENT = 0x1_0000
const MACHINE: Record<Architecture, number> = { amd64: 62, arm64: 183 }
const READ_EXECUTE = 5
const READ_WRITE = 6

/** A static ELF executable: one segment of code and constants that nothing can write to, one of zeroed memory. */
export function elfExecutable(program: Program, architecture: Architecture): Uint8Array {
  const memory = memorySize(program)
  const segments = memory === 0 ? 1 : 2
  const codeOffset = HEADER_SIZE + segments * SEGMENT_SIZE
  const code = assemble(program, architecture, TEXT_ADDRESS + codeOffset)
  const file = new Uint8Array(codeOffset + code.length)
  const view = new DataView(file.buffer)
  file.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1])
  view.setUint16(16, 2, true)
  view.setUint16(18, MACHINE[architecture], true)
  view.setUint32(20, 1, true)
  view.setBigUint64(24, BigInt(TEXT_ADDRESS + codeOffset), true)
  view.setBigUint64(32, BigInt(HEADER_SIZE), true)
  view.setUint16(52, HEADER_SIZE, true)
  view.setUint16(54, SEGMENT_SIZE, true)
  view.setUint16(56, segments, true)
  writeSegment(view, 0, { flags: READ_EXECUTE, address: TEXT_ADDRESS, inFile: file.length, inMemory: file.length })
  if (memory > 0) writeSegment(view, 1, { flags: READ_WRITE, address: MEMORY_ADDRESS, inFile: 0, inMemory: memory })
  file.set(code, codeOffset)
  return file
}

interface Segment {
  flags: number
  address: number
  inFile: number
  inMemory: number
}

function writeSegment(view: DataView, index: number, segment: Segment): void {
  const at = HEADER_SIZE + index * SEGMENT_SIZE
  view.setUint32(at, 1, true)
  view.setUint32(at + 4, segment.flags, true)
  view.setBigUint64(at + 16, BigInt(segment.address), true)
  view.setBigUint64(at + 24, BigInt(segment.address), true)
  view.setBigUint64(at + 32, BigInt(segment.inFile), true)
  view.setBigUint64(at + 40, BigInt(segment.inMemory), true)
  view.setBigUint64(at + 48, BigInt(ALIGNMENT), true)
}
