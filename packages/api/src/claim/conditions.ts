/**
 * Conditions and events of a SandboxClaim. Types, reasons and messages are agent-sandbox's to the letter: clients and its
 * own tests compare them.
 */

export const CLAIM_CONDITIONS = { ready: 'Ready', finished: 'Finished' } as const

/** Of Ready, where it is False and not the Sandbox's own. */
export const CLAIM_REASONS = {
  templateNotFound: 'TemplateNotFound',
  warmPoolNotFound: 'WarmPoolNotFound',
  adoptionConflict: 'AdoptionConflict',
  invalidMetadata: 'InvalidMetadata',
  envVarsInjectionRejected: 'EnvVarsInjectionRejected',
  volumeClaimTemplatesError: 'VolumeClaimTemplatesError',
  expired: 'ClaimExpired',
  sandboxMissing: 'SandboxMissing',
  sandboxExpired: 'SandboxExpired',
  sandboxNotReady: 'SandboxNotReady',
  reconcilerError: 'ReconcilerError',
  /** The API server refused the Sandbox for good: only an edit of the claim or the template helps. */
  invalidConfiguration: 'InvalidConfiguration',
  /** Ours: nothing keeps Sandboxes of the template apart, so that none is made. */
  networkPolicyConflict: 'NetworkPolicyConflict',
  /** Ours: labels cannot tell the name of its template from that of an older one. */
  nameCollision: 'NameCollision',
  /** Ours: it has not been Ready within readyDeadlineSeconds, and will not be any more. */
  deadlineExceeded: 'DeadlineExceeded',
} as const

export const CLAIM_MESSAGES = {
  warmPoolNotFound: (name: string) => `SandboxWarmPool ${JSON.stringify(name)} not found`,
  /** Ours: no pool has the labels of warmPoolSelector. */
  noWarmPoolSelected: 'no SandboxWarmPool of the namespace matches warmPoolSelector',
  templateNotFound: (name: string) => `SandboxTemplate ${JSON.stringify(name)} not found`,
  networkPolicyConflict: (policy: string) =>
    `NetworkPolicy ${JSON.stringify(policy)} is not of the template: no Sandbox is made until it is renamed or deleted`,
  invalidMetadata: 'invalid additionalPodMetadata: ',
  envVarsInjectionRejected: 'environment variable injection rejected: ',
  volumeClaimTemplatesDisallowed: 'volume claim templates are disallowed by the template',
  expired: 'Claim expired. Sandbox cleanup initiated.',
  expiredNotOwned: (sandbox: string, claim: string) =>
    `Claim expired. sandbox not owned by this claim: sandbox ${JSON.stringify(sandbox)} is not owned by claim ${JSON.stringify(claim)}; deletion skipped.`,
  sandboxMissing: 'Sandbox does not exist',
  sandboxExpired: 'Underlying Sandbox resource has expired independently of the Claim.',
  sandboxNotReady: 'Sandbox is not ready',
  errorSeen: 'Error seen: ',
  adoptionConflict: '; the next pass retries from a converged view',
  deadlineExceeded: (seconds: number) => `The claim was not Ready within ${seconds} s. Sandbox cleanup initiated.`,
} as const

/** Reasons of Events about a claim. */
export const CLAIM_EVENTS = {
  adopted: 'SandboxAdopted',
  provisioned: 'SandboxProvisioned',
  expired: 'ClaimExpired',
  deadlineExceeded: 'DeadlineExceeded',
} as const
