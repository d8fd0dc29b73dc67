import type { Instruction, Variable } from './assembler.ts'

/**
 * Has `b` lead to the environment of this process.
 *
 * @param stack leads to what the kernel has put there: argc, argv and its closing null, and behind them envp
 */
export function environmentBehind(stack: Exclude<Variable, 'b'>): Instruction[] {
  return [
    // stack + 8 * (argc + 2)
    { op: 'load', to: 'b', base: stack, offset: 0, bits: 64 },
    { op: 'add', to: 'b', value: 'b' },
    { op: 'add', to: 'b', value: 'b' },
    { op: 'add', to: 'b', value: 'b' },
    { op: 'add', to: 'b', value: stack },
    { op: 'add', to: 'b', value: 16 },
  ]
}
