export type * from './runtime.ts'
export { RuntimeError } from './runtime.ts'
