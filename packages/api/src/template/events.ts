/** Events about a SandboxTemplate, and what else is said of one. agent-sandbox has none. */

export const TEMPLATE_EVENTS = {
  networkPolicyConflict: 'NetworkPolicyConflict',
  networkPolicyFailed: 'NetworkPolicyFailed',
  nameCollision: 'NameCollision',
} as const

export const TEMPLATE_MESSAGES = {
  networkPolicyConflict: (policy: string, template: string) =>
    `refusing to update NetworkPolicy ${JSON.stringify(policy)} as it is not controlled by SandboxTemplate ${JSON.stringify(template)}: no Sandbox of the template is made until it is renamed or deleted`,
  nameCollision: (template: string, older: string) =>
    `the names of SandboxTemplates ${JSON.stringify(template)} and ${JSON.stringify(older)} have the same hash, by which NetworkPolicies tell their Sandboxes apart: no Sandbox is made of the younger one until either is renamed`,
  networkPolicyFailed: (policy: string) => `Failed to create NetworkPolicy ${policy}: `,
  networkPolicyMissing: (policy: string, why: string) =>
    `NetworkPolicy ${JSON.stringify(policy)} of the template cannot be written, and no Sandbox is made without it: ${why}`,
} as const
