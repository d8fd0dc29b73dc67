export type { ObjectKey, Plan, PlannedEvent, Write, WriteFailure } from './engine/plan.ts'
export type { ObservedSandbox } from './sandbox/observed-sandbox.ts'
export { planSandbox, type SandboxPlanOptions } from './sandbox/plan-sandbox.ts'
