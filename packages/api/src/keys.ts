/** API groups, labels and annotations of the agent-sandbox kinds. */

export const AGENTS_GROUP = 'agents.x-k8s.io'
export const EXTENSIONS_GROUP = 'extensions.agents.x-k8s.io'

/** Everything below this line is `PREFIX/...` unless it says otherwise. */
export const LABELS = {
  /** On Pods, Services and claims: the hash of the Sandbox's name; what its Service selects by. */
  sandboxNameHash: 'agents.x-k8s.io/sandbox-name-hash',
  /** On Sandboxes and Pods: the hash of the template's name; what NetworkPolicies select by. */
  templateRefHash: 'agents.x-k8s.io/sandbox-template-ref-hash',
  /** On Sandboxes: `cold` or `warm`. */
  launchType: 'agents.x-k8s.io/launch-type',
  /** On claims, Sandboxes and Pods: which kind of client made it. */
  createdBy: 'agents.x-k8s.io/created-by',
  /** On a pool's Sandboxes: the hash of the template's content. */
  templateHash: 'agents.x-k8s.io/sandbox-template-hash',
  /** On a pool's Sandboxes: what templateHash was called before; still written. */
  podTemplateHash: 'agents.x-k8s.io/sandbox-pod-template-hash',
  /** On a pool's Sandboxes and their Pods: the hash of the pool's name. Gone once claimed. */
  warmPool: 'agents.x-k8s.io/warm-pool-sandbox',
  /** On claimed Sandboxes and their Pods: the claim's UID. */
  claimUid: 'agents.x-k8s.io/claim-uid',
  /** `"true"` on a Pod, Service or claim without a controller: a Sandbox may take it over. */
  adoptable: 'agents.x-k8s.io/adoptable',
} as const

export const ANNOTATIONS = {
  /** On Sandboxes, by older controllers: the Pod's name where it is not the Sandbox's. Read, never written. */
  podName: 'agents.x-k8s.io/pod-name',
  /** On Sandboxes: the template's name. */
  templateRef: 'agents.x-k8s.io/sandbox-template-ref',
  /** On claims: the Sandbox that was assigned. */
  sandboxName: 'agents.x-k8s.io/sandbox-name',
  /** On Pods: the label keys that came from the Pod template, sorted, joined by commas. */
  propagatedLabels: 'agents.x-k8s.io/propagated-labels',
  /** On Pods: the annotation keys that came from the Pod template, sorted, joined by commas. */
  propagatedAnnotations: 'agents.x-k8s.io/propagated-annotations',
  controllerFirstObservedAt: 'agents.x-k8s.io/controller-first-observed-at',
  claimFirstReadyAt: 'agents.x-k8s.io/claim-first-ready-at',
  clientFirstRequestedAt: 'agents.x-k8s.io/client-first-requested-at',
  webhookFirstObservedAt: 'agents.x-k8s.io/webhook-first-observed-at',
  creationLatencyRecorded: 'agents.x-k8s.io/creation-latency-recorded',
  /** A JSON carrier of trace headers. */
  traceContext: 'opentelemetry.io/trace-context',
  /** `"true"` on a pool's Pods. */
  safeToEvict: 'cluster-autoscaler.kubernetes.io/safe-to-evict',
} as const

/**
 * On Pods of our nodes: `none` leaves them without a network; with `isolated` nothing gets in or out but what policies and
 * published ports open. What it says when the sandbox is made holds for the life of that sandbox.
 */
export const NETWORK_ANNOTATION = 'caisson.dev/network'

/** True for label keys that a Pod template may not set: a tenant could point another Sandbox's Service at its own Pod. */
export function isReservedLabel(key: string): boolean {
  return key.startsWith(`${AGENTS_GROUP}/`) || key.startsWith(`${EXTENSIONS_GROUP}/`)
}

/** True for annotation keys that a Pod template may not set. */
export function isReservedAnnotation(key: string): boolean {
  return isReservedLabel(key) || key === ANNOTATIONS.traceContext
}

const CREATORS = new Set(['go-client', 'python-client', 'controller'])

/** The value of the created-by label as Pods and metrics carry it: one of a few, whatever a client wrote. */
export function normalizeCreatedBy(value: string): string {
  return CREATORS.has(value) ? value : 'unknown'
}
