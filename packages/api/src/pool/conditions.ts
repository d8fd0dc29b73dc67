/** Conditions and events of a SandboxWarmPool. agent-sandbox has the events; the conditions are ours. */

export const POOL_CONDITIONS = { ready: 'Ready', progressing: 'Progressing', degraded: 'Degraded' } as const

/** Reasons of Events about a pool. */
export const POOL_EVENTS = {
  notProgressing: 'WarmPoolNotProgressing',
  progressing: 'WarmPoolProgressing',
} as const
