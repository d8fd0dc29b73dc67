/** Events about a SandboxTemplate. agent-sandbox has none. */

export const TEMPLATE_EVENTS = {
  networkPolicyConflict: 'NetworkPolicyConflict',
  networkPolicyFailed: 'NetworkPolicyFailed',
} as const

export const TEMPLATE_MESSAGES = {
  networkPolicyConflict: (policy: string, template: string) =>
    `refusing to update NetworkPolicy ${JSON.stringify(policy)} as it is not controlled by SandboxTemplate ${JSON.stringify(template)}: no Sandbox of the template is made until it is renamed or deleted`,
  networkPolicyFailed: (policy: string) => `Failed to create NetworkPolicy ${policy}: `,
} as const
