/** What the fields of a Sandbox that offer a choice can be. */

export const OPERATING_MODES = ['Running', 'Suspended'] as const
export type OperatingMode = (typeof OPERATING_MODES)[number]

export const SHUTDOWN_POLICIES = ['Delete', 'Retain'] as const
export type ShutdownPolicy = (typeof SHUTDOWN_POLICIES)[number]

export const MEMORY_POLICIES = ['Discard', 'Keep'] as const
