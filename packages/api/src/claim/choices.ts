/** What the fields of a SandboxClaim that offer a choice can be. */

export const CLAIM_SHUTDOWN_POLICIES = ['Delete', 'DeleteForeground', 'Retain'] as const
