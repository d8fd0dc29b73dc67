/**
 * Where the embedded API server answers otherwise than kube-apiserver, on purpose. docs/compatibility.md says the same to
 * users; at most 30, each with its reason.
 */
export interface KnownDifference {
  reason: string
  /** Of the step; every step where it is left out. */
  label?: RegExp
  /** Of the difference as it is printed: `body.items: 1 elements != 2`. */
  difference: RegExp
}

export const KNOWN_DIFFERENCES: readonly KnownDifference[] = [
  {
    reason:
      'The annotation with the generation of a DaemonSet’s template is shown in tables and in metadata alone, too, where kube-apiserver leaves it out.',
    label: /DaemonSet|daemonsets/,
    difference: /metadata\.annotations: nothing != .*deprecated\.daemonset\.template\.generation/,
  },
  {
    reason:
      'A refused change of an immutable spec ends with what changed: kube-apiserver prints a diff of its internal Go structs there, we print the changed paths.',
    difference:
      /^body\.(message|details\.causes\[\d+\]\.message): .*(may not change fields other than|is immutable after creation)/,
  },
  {
    reason: 'A JSON Patch that does not apply is answered with which operation and why in details.causes, too.',
    difference: /^body\.details.*patch\[\d+\]/,
  },
  {
    reason: 'Broken YAML is reported in the words of our YAML parser, not in those of Go’s.',
    label: /broken YAML/,
    difference: /^body\.message: /,
  },
  {
    reason:
      'Impersonating a group without a user is answered with a Status like every other error, not with plain text.',
    label: /impersonated group only/,
    difference: /^(contentType|body): /,
  },
  {
    reason: 'A TokenRequest is answered and never stored, so it has no managedFields.',
    label: /a token request/,
    difference: /^body\.metadata\.managedFields: /,
  },
  {
    reason:
      'The issuer of service account tokens is https://kubernetes.default.svc.cluster.local, as in a cluster that kubeadm made; the server under test was started with a shorter one.',
    label: /a token request/,
    difference: /^body\.spec\.audiences\[0\]: /,
  },
  {
    reason: 'ClusterRoles are aggregated by the API server itself, at once; elsewhere a controller does it later.',
    label: /ClusterRole /,
    difference: /^body\.(rules|metadata\.managedFields\[\d+\]\.fieldsV1\.f:rules): /,
  },
  {
    reason: 'What the server makes for itself at its first start (PriorityClasses, roles) has no managedFields.',
    label: /(list|table|metadata) of priorityclasses|PriorityClass in protobuf/,
    difference: /metadata\.managedFields: \[.*"manager":"kube-apiserver".* != nothing$/,
  },
  {
    reason:
      'A CustomResourceDefinition has its names accepted and is established by the request that creates it, not a moment later.',
    label: /definition of |generated apiextensions/,
    difference: /^body\.(status\.(acceptedNames|conditions)|metadata\.managedFields)/,
  },
  {
    reason:
      'The errors of an Event without a name are those of its metadata and of its fields, not of its fields alone.',
    label: /Event: (null|no metadata)/,
    difference: /^body\.(message|details\.causes)/,
  },
  {
    reason: 'A CEL rule that does not parse is reported at the same place, in fewer words than ANTLR’s.',
    label: /a rule that does not compile|[eE]xpression: /,
    difference: /^body\.(message|details\.causes\[0\]\.message): /,
  },
  {
    reason:
      'Who owns a field that only one of several versions has is told in the version that was written, where kube-apiserver forgets it.',
    label: /versions: (change|apply)|generated autoscaling\/v1/,
    difference: /^body\.(metadata\.managedFields|(message|details\.causes\[0\]\.message): .*managedFields)/,
  },
  {
    reason:
      'A dry run of a Service with a node port that would be refused is refused: kube-apiserver does not look at ports in a dry run.',
    label: /Service with a node port outside of the range/,
    difference: /./,
  },
  {
    reason: 'A Pod that is refused is not warned of its AppArmor annotations, too.',
    label: /an AppArmor annotation/,
    difference: /^warnings: /,
  },
  {
    reason: 'Integers of custom resources beyond 2^53 are rounded, so that the largest one of 64 bits is none.',
    label: /an integer that is written 9223372036854775807/,
    difference: /./,
  },
  {
    reason:
      'A Scale of the wrong type is told which field is wrong, where kube-apiserver does not know the kind Scale.',
    label: /scaled: put a text/,
    difference: /^body\.message: /,
  },
  {
    reason:
      'A refused change of a part that cannot change shows it as it stands in manifests, where kube-apiserver prints its internal Go structs.',
    difference:
      /^body\.(message|details\.causes\[\d+\]\.message): .*Invalid value: (\[?\{\\"[A-Z]|\{(\\"[\w]+\\":.*)?\\"Spec\\":)/,
  },
  {
    reason:
      'An integer of more bits than its field has is refused under a strategic merge patch and under apply, too, where kube-apiserver keeps the lower bits.',
    label: /(strategic|apply) with .*(2147483648|9007199254740992|100000000000000000000)/,
    difference: /./,
  },
  {
    reason:
      'A value of the wrong type in a strategic merge patch, or one that is applied, is refused in the words for a type of another kind.',
    label: /(strategic|apply) with/,
    difference:
      /^body\.(message|details\.causes\[0\]\.message): .*(cannot (restore|convert)|unrecognized type|json: cannot)/,
  },
  {
    reason: 'What is empty and refused is shown as null or [], whichever way it was left empty.',
    difference:
      /^body\.(message|details\.causes\[\d+\]\.message): .*value: (null|\[\]|\{\}): .* != .*value: (null|\[\]|\{\}): /,
  },
  {
    reason:
      'Where kube-apiserver cannot tell who owns what (elements of a list without their key, Events that the other group wrote), it takes managedFields away; here they stay.',
    label:
      /generated (v1 ServiceAccount|flowcontrol\.apiserver\.k8s\.io\/v1 (FlowSchema|PriorityLevelConfiguration)|events\.k8s\.io\/v1 Event|storage\.k8s\.io\/v1 CSINode)/,
    difference: /^body\.metadata\.managedFields: nothing != \[/,
  },
  {
    reason: 'An empty list or map of a built-in kind is as good as none: nobody owns it, and it is no new generation.',
    label: /generated .* with|without (entries|elements)/,
    difference:
      /^body\.metadata\.(generation: 2 != 1$|managedFields(\[\d+\]\.fieldsV1\..*: \{\}|: \[.*\{"f:spec":\{"f:\w+":\{\}\}\}.*\]) != nothing$)/,
  },
]

/** The reason why this difference is there, or undefined where it must not be. */
export function knownDifference(label: string, difference: string): string | undefined {
  return KNOWN_DIFFERENCES.find((known) => (known.label?.test(label) ?? true) && known.difference.test(difference))
    ?.reason
}
