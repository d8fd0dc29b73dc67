/** What the fields of a SandboxWarmPool that offer a choice can be. */

export const UPDATE_STRATEGIES = ['Recreate', 'OnReplenish', 'RollingUpdate'] as const
export type UpdateStrategy = (typeof UPDATE_STRATEGIES)[number]
