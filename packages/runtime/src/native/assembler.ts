/**
 * A very small assembler for programs that are little more than a list of system calls. The few native things that Node
 * cannot do (reap foreign children, receive a terminal by file descriptor, hold a sandbox open) are written in it, so
 * that nobody has to trust a committed binary or own a compiler, and amd64 and arm64 come from one source.
 */

export type Architecture = 'amd64' | 'arm64'

/** Variables live in registers that survive a system call. */
export type Variable = 'a' | 'b' | 'c' | 'd' | 'e'

/** A constant, a variable, or the address of something declared in `data` or `memory`. */
export type Value = number | Variable | { address: string; offset?: number }

export type Condition = 'always' | 'negative' | 'zero' | { equals: number }

export type Instruction =
  | { op: 'label'; name: string }
  /** Puts the address of argc, with argv behind it, into a variable. Only right as the first instruction. */
  | { op: 'stack'; to: Variable }
  | { op: 'set'; to: Variable; value: Value }
  | { op: 'add'; to: Variable; value: number | Variable }
  | { op: 'subtract'; to: Variable; value: Variable }
  | { op: 'load'; to: Variable; base: Variable; offset: number; bits: 32 | 64 }
  | { op: 'store'; from: Variable; base: Variable; offset: number; bits: 32 | 64 }
  | { op: 'syscall'; name: Syscall; args: Value[]; result?: Variable }
  /** What a record in memory says, in words of 64 bits: the system call's number, and the addresses of its six arguments. */
  | { op: 'call'; record: Variable; result: Variable }
  | { op: 'jump'; to: string; variable?: Variable; when: Condition }

export interface Program {
  code: Instruction[]
  /** Constant bytes. */
  data?: Record<string, Uint8Array>
  /** Zeroed writable memory, sizes in bytes. */
  memory?: Record<string, number>
}

const SYSCALLS = {
  chdir: { amd64: 80, arm64: 49 },
  clone: { amd64: 56, arm64: 220 },
  close: { amd64: 3, arm64: 57 },
  close_range: { amd64: 436, arm64: 436 },
  connect: { amd64: 42, arm64: 203 },
  dup3: { amd64: 292, arm64: 24 },
  eventfd2: { amd64: 290, arm64: 19 },
  execve: { amd64: 59, arm64: 221 },
  exit_group: { amd64: 231, arm64: 94 },
  fchmod: { amd64: 91, arm64: 52 },
  fchown: { amd64: 93, arm64: 55 },
  fchownat: { amd64: 260, arm64: 54 },
  fgetxattr: { amd64: 193, arm64: 10 },
  flistxattr: { amd64: 196, arm64: 13 },
  fsetxattr: { amd64: 190, arm64: 7 },
  ftruncate: { amd64: 77, arm64: 46 },
  getdents64: { amd64: 217, arm64: 61 },
  getpid: { amd64: 39, arm64: 172 },
  getppid: { amd64: 110, arm64: 173 },
  ioctl: { amd64: 16, arm64: 29 },
  linkat: { amd64: 265, arm64: 37 },
  lseek: { amd64: 8, arm64: 62 },
  mkdirat: { amd64: 258, arm64: 34 },
  mknodat: { amd64: 259, arm64: 33 },
  mount: { amd64: 165, arm64: 40 },
  openat: { amd64: 257, arm64: 56 },
  openat2: { amd64: 437, arm64: 437 },
  ppoll: { amd64: 271, arm64: 73 },
  prctl: { amd64: 157, arm64: 167 },
  read: { amd64: 0, arm64: 63 },
  readlinkat: { amd64: 267, arm64: 78 },
  recvmsg: { amd64: 47, arm64: 212 },
  seccomp: { amd64: 317, arm64: 277 },
  sendfile: { amd64: 40, arm64: 71 },
  sendmsg: { amd64: 46, arm64: 211 },
  setfsgid: { amd64: 123, arm64: 152 },
  setfsuid: { amd64: 122, arm64: 151 },
  setgroups: { amd64: 116, arm64: 159 },
  sethostname: { amd64: 170, arm64: 161 },
  setns: { amd64: 308, arm64: 268 },
  shutdown: { amd64: 48, arm64: 210 },
  socket: { amd64: 41, arm64: 198 },
  statx: { amd64: 332, arm64: 291 },
  symlinkat: { amd64: 266, arm64: 36 },
  umask: { amd64: 95, arm64: 166 },
  unshare: { amd64: 272, arm64: 97 },
  utimensat: { amd64: 280, arm64: 88 },
  wait4: { amd64: 61, arm64: 260 },
  write: { amd64: 1, arm64: 64 },
} as const satisfies Record<string, Record<Architecture, number>>

export type Syscall = keyof typeof SYSCALLS

export function syscallNumber(name: Syscall, architecture: Architecture): number {
  return SYSCALLS[name][architecture]
}

/** Where the file is mapped, and where the zeroed memory begins: fixed, below 2 GiB, apart by more than any page size. */
export const TEXT_ADDRESS = 0x40_0000
export const MEMORY_ADDRESS = 0x80_0000

interface Layout {
  /** Address of the first instruction. */
  start: number
  /** Addresses of data and memory. */
  symbols: Map<string, number>
  labels: Map<string, number>
}

/** Machine code and constants of a program, ready to be mapped at `start`. */
export function assemble(program: Program, architecture: Architecture, start: number): Uint8Array {
  const encode = architecture === 'amd64' ? encodeAmd64 : encodeArm64
  const layout: Layout = { start, symbols: new Map(), labels: new Map() }
  const data = Object.entries(program.data ?? {})
  for (const [name] of data) layout.symbols.set(name, TEXT_ADDRESS)
  let free = MEMORY_ADDRESS
  for (const [name, size] of Object.entries(program.memory ?? {})) {
    layout.symbols.set(name, free)
    free += Math.ceil(size / 16) * 16
  }
  // The size of an instruction does not depend on where things are, so that one pass finds every label.
  let at = start
  for (const instruction of program.code) {
    if (instruction.op === 'label') layout.labels.set(instruction.name, at)
    else at += encode(instruction, at, { ...layout, labels: new Map([[targetOf(instruction), at]]) }).length
  }
  for (const [name, bytes] of data) {
    at = Math.ceil(at / 16) * 16
    layout.symbols.set(name, at)
    at += bytes.length
  }
  const image = new Uint8Array(at - start)
  let offset = 0
  for (const instruction of program.code) {
    const bytes = encode(instruction, start + offset, layout)
    image.set(bytes, offset)
    offset += bytes.length
  }
  for (const [name, bytes] of data) image.set(bytes, (layout.symbols.get(name) ?? start) - start)
  return image
}

/** Bytes of zeroed memory that a program asks for. */
export function memorySize(program: Program): number {
  return Object.values(program.memory ?? {}).reduce((sum, size) => sum + Math.ceil(size / 16) * 16, 0)
}

function targetOf(instruction: Instruction): string {
  return instruction.op === 'jump' ? instruction.to : ''
}

function resolve(value: Exclude<Value, Variable>, layout: Layout): number {
  if (typeof value === 'number') return value
  const address = layout.symbols.get(value.address)
  if (address === undefined) throw new Error(`unknown symbol ${value.address}`)
  return address + (value.offset ?? 0)
}

function distance(label: string, from: number, layout: Layout): number {
  const target = layout.labels.get(label)
  if (target === undefined) throw new Error(`unknown label ${label}`)
  return target - from
}

// rbx, rbp, r12, r13, r14: kept by the kernel across a system call.
const AMD64_VARIABLES: Record<Variable, number> = { a: 3, b: 5, c: 12, d: 13, e: 14 }
// rdi, rsi, rdx, r10, r8, r9
const AMD64_ARGUMENTS = [7, 6, 2, 10, 8, 9]
const RAX = 0
const RSP = 4

function encodeAmd64(instruction: Instruction, at: number, layout: Layout): Uint8Array {
  switch (instruction.op) {
    case 'label':
      return new Uint8Array()
    case 'stack':
      return amd64Move(AMD64_VARIABLES[instruction.to], RSP)
    case 'set':
      return amd64Set(AMD64_VARIABLES[instruction.to], instruction.value, layout)
    case 'add': {
      const to = AMD64_VARIABLES[instruction.to]
      if (typeof instruction.value === 'number') {
        return bytes(0x48 | (to >> 3), 0x81, 0xc0 | (to & 7), ...int32(instruction.value))
      }
      const from = AMD64_VARIABLES[instruction.value]
      return bytes(0x48 | ((from >> 3) << 2) | (to >> 3), 0x01, 0xc0 | ((from & 7) << 3) | (to & 7))
    }
    case 'subtract': {
      const [to, from] = [AMD64_VARIABLES[instruction.to], AMD64_VARIABLES[instruction.value]]
      return bytes(0x48 | ((from >> 3) << 2) | (to >> 3), 0x29, 0xc0 | ((from & 7) << 3) | (to & 7))
    }
    case 'load':
      return amd64Memory(
        instruction.bits === 64 ? 0x8b : 0x63,
        true,
        AMD64_VARIABLES[instruction.to],
        AMD64_VARIABLES[instruction.base],
        instruction.offset,
      )
    case 'store':
      return amd64Memory(
        0x89,
        instruction.bits === 64,
        AMD64_VARIABLES[instruction.from],
        AMD64_VARIABLES[instruction.base],
        instruction.offset,
      )
    case 'syscall': {
      const parts = instruction.args.map((value, index) => amd64Set(argument(AMD64_ARGUMENTS, index), value, layout))
      parts.push(amd64Set(RAX, SYSCALLS[instruction.name].amd64, layout), bytes(0x0f, 0x05))
      if (instruction.result) parts.push(amd64Move(AMD64_VARIABLES[instruction.result], RAX))
      return concat(parts)
    }
    case 'call': {
      const record = AMD64_VARIABLES[instruction.record]
      const parts = AMD64_ARGUMENTS.flatMap((register, index) => [
        amd64Load(register, record, 8 + index * 8),
        amd64Load(register, register, 0),
      ])
      parts.push(amd64Load(RAX, record, 0), bytes(0x0f, 0x05), amd64Move(AMD64_VARIABLES[instruction.result], RAX))
      return concat(parts)
    }
    default: {
      const test = amd64Test(instruction.variable, instruction.when)
      const jump = instruction.when === 'always' ? [0xe9] : [0x0f, instruction.when === 'negative' ? 0x88 : 0x84]
      const end = at + test.length + jump.length + 4
      return concat([test, bytes(...jump, ...int32(distance(instruction.to, end, layout)))])
    }
  }
}

function amd64Test(variable: Variable | undefined, when: Condition): Uint8Array {
  if (when === 'always') return new Uint8Array()
  const register = AMD64_VARIABLES[required(variable)]
  if (typeof when === 'object') return bytes(0x48 | (register >> 3), 0x81, 0xf8 | (register & 7), ...int32(when.equals))
  return bytes(0x48 | ((register >> 3) << 2) | (register >> 3), 0x85, 0xc0 | ((register & 7) << 3) | (register & 7))
}

function amd64Move(to: number, from: number): Uint8Array {
  return bytes(0x48 | ((from >> 3) << 2) | (to >> 3), 0x89, 0xc0 | ((from & 7) << 3) | (to & 7))
}

function amd64Set(to: number, value: Value, layout: Layout): Uint8Array {
  if (typeof value === 'string') return amd64Move(to, AMD64_VARIABLES[value])
  return bytes(0x48 | (to >> 3), 0xc7, 0xc0 | (to & 7), ...int32(resolve(value, layout)))
}

function amd64Load(to: number, base: number, offset: number): Uint8Array {
  return amd64Memory(0x8b, true, to, base, offset)
}

function amd64Memory(opcode: number, wide: boolean, register: number, base: number, offset: number): Uint8Array {
  const rex = 0x40 | (wide ? 8 : 0) | ((register >> 3) << 2) | (base >> 3)
  // A base of r12 has the encoding of "an index byte follows".
  const index = (base & 7) === 4 ? [0x24] : []
  return bytes(rex, opcode, 0x80 | ((register & 7) << 3) | (base & 7), ...index, ...int32(offset))
}

// x19 to x23: callee-saved, untouched by a system call.
const ARM64_VARIABLES: Record<Variable, number> = { a: 19, b: 20, c: 21, d: 22, e: 23 }
const ARM64_ARGUMENTS = [0, 1, 2, 3, 4, 5]
const ARM64_NUMBER = 8
const ARM64_CALL = 0xd4000001

function encodeArm64(instruction: Instruction, at: number, layout: Layout): Uint8Array {
  switch (instruction.op) {
    case 'label':
      return new Uint8Array()
    case 'stack':
      return words(0x910003e0 | ARM64_VARIABLES[instruction.to])
    case 'set':
      return arm64Set(ARM64_VARIABLES[instruction.to], instruction.value, layout)
    case 'add': {
      const to = ARM64_VARIABLES[instruction.to]
      if (typeof instruction.value !== 'number') {
        return words(0x8b000000 | (ARM64_VARIABLES[instruction.value] << 16) | (to << 5) | to)
      }
      return words(0x91000000 | (unsigned(instruction.value, 12) << 10) | (to << 5) | to)
    }
    case 'subtract': {
      const to = ARM64_VARIABLES[instruction.to]
      return words(0xcb000000 | (ARM64_VARIABLES[instruction.value] << 16) | (to << 5) | to)
    }
    case 'load': {
      const [to, base] = [ARM64_VARIABLES[instruction.to], ARM64_VARIABLES[instruction.base]]
      if (instruction.bits === 64) return words(arm64Load(to, base, instruction.offset))
      return words(0xb9800000 | (unsigned(instruction.offset / 4, 12) << 10) | (base << 5) | to)
    }
    case 'store': {
      const [opcode, scale] = instruction.bits === 64 ? [0xf9000000, 8] : [0xb9000000, 4]
      const [from, base] = [ARM64_VARIABLES[instruction.from], ARM64_VARIABLES[instruction.base]]
      return words(opcode | (unsigned(instruction.offset / scale, 12) << 10) | (base << 5) | from)
    }
    case 'syscall': {
      const parts = instruction.args.map((value, index) => arm64Set(argument(ARM64_ARGUMENTS, index), value, layout))
      parts.push(arm64Set(ARM64_NUMBER, SYSCALLS[instruction.name].arm64, layout), words(ARM64_CALL))
      if (instruction.result) parts.push(arm64Move(ARM64_VARIABLES[instruction.result], 0))
      return concat(parts)
    }
    case 'call': {
      const record = ARM64_VARIABLES[instruction.record]
      const loads = ARM64_ARGUMENTS.flatMap((register, index) => [
        arm64Load(register, record, 8 + index * 8),
        arm64Load(register, register, 0),
      ])
      const called = words(...loads, arm64Load(ARM64_NUMBER, record, 0), ARM64_CALL)
      return concat([called, arm64Move(ARM64_VARIABLES[instruction.result], 0)])
    }
    default: {
      if (instruction.when === 'always') {
        return words(0x14000000 | signed(distance(instruction.to, at, layout) / 4, 26))
      }
      const register = ARM64_VARIABLES[required(instruction.variable)]
      if (typeof instruction.when === 'object') {
        const { equals } = instruction.when
        const compare = equals < 0 ? 0xb100001f : 0xf100001f
        const branch = 0x54000000 | (signed(distance(instruction.to, at + 4, layout) / 4, 19) << 5)
        return words(compare | (unsigned(Math.abs(equals), 12) << 10) | (register << 5), branch)
      }
      const offset = distance(instruction.to, at, layout) / 4
      if (instruction.when === 'zero') return words(0xb4000000 | (signed(offset, 19) << 5) | register)
      return words(0xb7f80000 | (signed(offset, 14) << 5) | register)
    }
  }
}

function arm64Load(to: number, base: number, offset: number): number {
  return 0xf9400000 | (unsigned(offset / 8, 12) << 10) | (base << 5) | to
}

function arm64Move(to: number, from: number): Uint8Array {
  return words(0xaa0003e0 | (from << 16) | to)
}

function arm64Set(to: number, value: Value, layout: Layout): Uint8Array {
  if (typeof value === 'string') return arm64Move(to, ARM64_VARIABLES[value])
  const number = resolve(value, layout)
  if (number < 0) return words(0x92800000 | (unsigned(-number - 1, 16) << 5) | to)
  return words(0xd2800000 | ((number & 0xffff) << 5) | to, 0xf2a00000 | ((number >>> 16) << 5) | to)
}

function argument(registers: number[], index: number): number {
  const register = registers[index]
  if (register === undefined) throw new Error('a system call takes at most six arguments')
  return register
}

function required(variable: Variable | undefined): Variable {
  if (variable === undefined) throw new Error('a conditional jump needs a variable')
  return variable
}

function unsigned(value: number, bits: number): number {
  if (!Number.isInteger(value) || value < 0 || value >= 2 ** bits) throw new Error(`${value} does not fit ${bits} bits`)
  return value
}

function signed(value: number, bits: number): number {
  if (!Number.isInteger(value) || Math.abs(value) >= 2 ** (bits - 1))
    throw new Error(`${value} does not fit ${bits} bits`)
  return value & (2 ** bits - 1)
}

function int32(value: number): number[] {
  return [value & 0xff, (value >> 8) & 0xff, (value >> 16) & 0xff, (value >> 24) & 0xff]
}

function bytes(...values: number[]): Uint8Array {
  return Uint8Array.from(values)
}

function words(...values: number[]): Uint8Array {
  return Uint8Array.from(values.flatMap((value) => int32(value | 0)))
}

function concat(parts: Uint8Array[]): Uint8Array {
  return Uint8Array.from(parts.flatMap((part) => [...part]))
}
