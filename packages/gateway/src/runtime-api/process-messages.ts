/** The messages of `process.v1.ProcessService`. */
import { bytesField, type FieldValue, fieldsOf, int32Field, numberOf, textOf } from './protobuf.ts'

export interface ProcessConfig {
  command: string[]
  env: Record<string, string>
  workingDirectory: string
}

export interface StartRequest {
  config: ProcessConfig
  terminal: { columns: number; rows: number } | undefined
}

export interface ProcessRequest {
  processId: number
}

export function decodeExecute(message: Buffer): ProcessConfig {
  return configOf(only(message, 1))
}

export function decodeStart(message: Buffer): StartRequest {
  const terminal = only(message, 2)
  return { config: configOf(only(message, 1)), terminal: terminal && sizeOf(terminal, 1) }
}

/** `input` is undefined where the end of the input is meant. */
export function decodeWriteStdin(message: Buffer): ProcessRequest & { input: Buffer | undefined } {
  let processId = 0
  let input: Buffer | undefined = Buffer.alloc(0)
  for (const [field, value] of fieldsOf(message)) {
    if (field === 1) processId = numberOf(value)
    else if (field === 2) input = bytesOf(value)
    else if (field === 3) input = undefined
  }
  return { processId, input }
}

export function decodeSendSignal(message: Buffer): ProcessRequest & { signal: number } {
  return { processId: numberIn(message, 1), signal: numberIn(message, 2) }
}

export function decodeResize(message: Buffer): ProcessRequest & { columns: number; rows: number } {
  return { processId: numberIn(message, 1), ...sizeOf(message, 2) }
}

export function executeResponse(exitCode: number, stdout: Buffer, stderr: Buffer): Buffer {
  return Buffer.concat([
    ...(exitCode === 0 ? [] : [int32Field(1, exitCode)]),
    ...(stdout.length === 0 ? [] : [bytesField(2, stdout)]),
    ...(stderr.length === 0 ? [] : [bytesField(3, stderr)]),
  ])
}

export const startEvents = {
  init: (processId: number): Buffer => bytesField(1, int32Field(1, processId)),
  stdout: (content: Buffer): Buffer => bytesField(2, content),
  stderr: (content: Buffer): Buffer => bytesField(3, content),
  exit: (exitCode: number): Buffer => bytesField(4, exitCode === 0 ? Buffer.alloc(0) : int32Field(1, exitCode)),
}

function configOf(message: Buffer | undefined): ProcessConfig {
  const config: ProcessConfig = { command: [], env: {}, workingDirectory: '' }
  const env = new Map<string, string>()
  for (const [field, value] of fieldsOf(message ?? Buffer.alloc(0))) {
    if (field === 1) config.command.push(textOf(value))
    else if (field === 2) {
      const entry = bytesOf(value)
      env.set(textOf(only(entry, 1) ?? 0), textOf(only(entry, 2) ?? 0))
    } else if (field === 3) config.workingDirectory = textOf(value)
  }
  return { ...config, env: Object.fromEntries(env) }
}

/** Columns and rows, which follow each other. */
function sizeOf(message: Buffer, first: number): { columns: number; rows: number } {
  return { columns: numberIn(message, first), rows: numberIn(message, first + 1) }
}

/** The last one of a field, as the encoding has it. */
function only(message: Buffer, field: number): Buffer | undefined {
  let found: Buffer | undefined
  for (const [number, value] of fieldsOf(message)) if (number === field) found = bytesOf(value)
  return found
}

function numberIn(message: Buffer, field: number): number {
  let found = 0
  for (const [number, value] of fieldsOf(message)) if (number === field) found = numberOf(value)
  return found
}

function bytesOf(value: FieldValue): Buffer {
  return typeof value === 'number' ? Buffer.alloc(0) : value
}
