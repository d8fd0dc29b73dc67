/** Conditions and events of a SandboxWarmPool. agent-sandbox has the events; the conditions are ours. */

export const POOL_CONDITIONS = { ready: 'Ready', progressing: 'Progressing', degraded: 'Degraded' } as const

export const POOL_REASONS = {
  /** Of Ready, True: as many members are Ready as are wanted. */
  filled: 'Filled',
  /** Of Ready, False, and of Progressing, True: members are being made, or are not Ready yet. */
  filling: 'Filling',
  /** Of Progressing, True: members of an older template give way to new ones. */
  rollingOut: 'RollingOut',
  /** Of Progressing, False: there is nothing to do. */
  complete: 'Complete',
  /** Of Progressing, False: members are held by scheduling gates. */
  schedulingGated: 'SchedulingGated',
  /** Of Degraded, False. */
  asExpected: 'AsExpected',
  /** The rest, of Degraded, True, and then of Progressing and of Ready too where they are False because of it. */
  templateNotFound: 'TemplateNotFound',
  networkPolicyConflict: 'NetworkPolicyConflict',
  /** The API server refuses what its template has for a NetworkPolicy. */
  networkPolicyFailed: 'NetworkPolicyFailed',
  /** Its template's name has the hash of an older one's. */
  nameCollision: 'NameCollision',
  membersUnschedulable: 'MembersUnschedulable',
  memberCreationFailed: 'MemberCreationFailed',
  memberDeletionFailed: 'MemberDeletionFailed',
  snapshotNotReady: 'SnapshotNotReady',
  /** Members ended, or their containers cannot start. */
  membersFailing: 'MembersFailing',
} as const

export const POOL_MESSAGES = {
  filled: (wanted: number) => (wanted === 1 ? 'the member is Ready' : `all ${wanted} members are Ready`),
  empty: 'no members are wanted',
  filling: (ready: number, wanted: number) => `${ready} of ${wanted} members are Ready`,
  rollingOut: (updated: number, wanted: number) =>
    `${updated} of ${wanted} members are made from the template as it is now`,
  complete: 'there is nothing to do',
  schedulingGated: (count: number) => `${count} members are held by scheduling gates`,
  asExpected: 'nothing is wrong',
  templateNotFound: (name: string) => `SandboxTemplate ${JSON.stringify(name)} not found`,
  networkPolicyConflict: (policy: string) =>
    `NetworkPolicy ${JSON.stringify(policy)} is not of the template: no member is made until it is renamed or deleted`,
  /** agent-sandbox's words. */
  membersUnschedulable: (count: number, wanted: number, grace: string) =>
    `${count}/${wanted} sandboxes are unschedulable past the ${grace} readiness grace period; holding them instead of replacing (replacements would be equally unschedulable)`,
  /** Ours: as for agent-sandbox it does no more harm than that. */
  nameCollision: (pool: string, older: string) =>
    `the names of SandboxWarmPools ${JSON.stringify(pool)} and ${JSON.stringify(older)} have the same hash: the label and the selector of their members are the same, so that an autoscaler of one measures the Pods of both`,
  progressing: 'Warm pool is progressing again',
  memberCreationFailed: 'failed to create a member: ',
  memberDeletionFailed: 'failed to delete a member: ',
  memberReplaced: (sandbox: string, grace: string, message: string) =>
    `Deleted Sandbox ${sandbox}, which was not Ready within ${grace}: ${message}`,
  memberFailing: (count: number, wanted: number, sandbox: string, message: string) =>
    `${count} of ${wanted} members cannot become Ready; Sandbox ${sandbox}: ${message}`,
} as const

/** Reasons of Events about a pool. */
export const POOL_EVENTS = {
  notProgressing: 'WarmPoolNotProgressing',
  progressing: 'WarmPoolProgressing',
  /** Ours. Trouble that the condition Degraded names is an event with the same reason. */
  memberReplaced: 'MemberReplaced',
  nameCollision: 'NameCollision',
} as const
