/** What the fields of a SandboxTemplate that offer a choice can be. */

export const NETWORK_POLICY_MANAGEMENTS = ['Managed', 'Unmanaged'] as const

/** Whether a claim may bring something along, and whether it may replace what the template has. */
export const INJECTION_POLICIES = ['Allowed', 'Overrides', 'Disallowed'] as const
export type InjectionPolicy = (typeof INJECTION_POLICIES)[number]

export const ENV_DELIVERIES = ['ColdStart', 'Warm'] as const
