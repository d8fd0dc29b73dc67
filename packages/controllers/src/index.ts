export { type ControllerLog, createControllerLog } from './controller-log.ts'
export {
  type ControllerDefinition,
  createEngine,
  type Engine,
  type EngineMetrics,
  RetryError,
} from './engine/engine.ts'
export {
  type CreateWrite,
  nothing,
  type ObjectKey,
  type Plan,
  type PlannedEvent,
  type Write,
  type WriteFailure,
  writeId,
} from './engine/plan.ts'
export { createSandboxMetrics, registerBuildInfo, type SandboxMetrics } from './metrics/sandbox-metrics.ts'
export type { ObservedSandbox } from './sandbox/observed-sandbox.ts'
export { planSandbox, type SandboxPlanOptions } from './sandbox/plan-sandbox.ts'
export { type Controllers, type StartControllersOptions, startControllers } from './start-controllers.ts'
export { startTracing, type Tracing } from './tracing/trace-settings.ts'
