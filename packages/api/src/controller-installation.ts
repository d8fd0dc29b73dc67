/** How agent-sandbox's controller is installed, in whose place ours works: names that others know. */

/** Its namespace, where the router and the ConfigMap `agent-sandbox-config` are too. */
export const CONTROLLER_NAMESPACE = 'agent-sandbox-system'
/** Of its Deployment and ServiceAccount. */
export const CONTROLLER_NAME = 'agent-sandbox-controller'
/** Of its controller and ours, one works at a time: the one that holds this Lease. */
export const CONTROLLER_LEASE = 'a3317529.agent-sandbox.x-k8s.io'
