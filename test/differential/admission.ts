import type { Request, Step } from './script.ts'

const ROOT = '/apis/admissionregistration.k8s.io/v1'

/**
 * What configures admission, valid and not. Only tried out: in force it would bear upon the rest of the script, and at
 * kube-apiserver only a moment later.
 */
const ODD_URLS = [
  '',
  'a:b',
  ':a',
  '1:2',
  '*',
  'example.com/a',
  '//example.com',
  '///a',
  'https:a',
  'https:///a',
  'HTTPS://example.com',
  'https://a b/',
  'https://a:x/',
  'https://a:1:2/',
  'https://%41/',
  'https://%zz/',
  'https://ä/%zz',
  'https://a/#%',
  'https://u:p@example.com/?a#b',
  'https://u<@example.com',
  'https://[::1/',
  'https://[::1]:x',
  'https://[fd00::1]:443/a',
  'https://[10.0.0.1]/',
  'https://[x]/',
  'https://a[b',
  'a\nb',
]

export function admission(add: (label: string, request: Step['request']) => void): void {
  const tryOut = (plural: string, kind: string, content: object): Request => ({
    method: 'POST',
    path: `${ROOT}/${plural}`,
    query: { dryRun: 'All' },
    body: { apiVersion: 'admissionregistration.k8s.io/v1', kind, metadata: { name: 'tried' }, ...content },
  })
  const rule = { operations: ['*'], apiGroups: [''], apiVersions: ['v1'], resources: ['configmaps'] }
  const hook = {
    name: 'hook.example.com',
    clientConfig: { url: 'https://127.0.0.1:1/path' },
    rules: [rule],
    sideEffects: 'None',
    admissionReviewVersions: ['v1'],
  }
  const condition = (expression: string, name = 'a'): object => ({ matchConditions: [{ name, expression }] })
  const hooks: Record<string, object[]> = {
    plain: [hook],
    'a service': [{ ...hook, clientConfig: { service: { name: 'a', namespace: 'b', path: '/c' } } }],
    'no target': [{ ...hook, clientConfig: {} }],
    'two targets': [{ ...hook, clientConfig: { url: 'https://a', service: { name: 'a', namespace: 'b' } } }],
    'another scheme': [{ ...hook, clientConfig: { url: 'http://user:word@host/x?y=1#z' } }],
    'a path of empty steps': [{ ...hook, clientConfig: { service: { name: 'a', namespace: 'b', path: 'x//y' } } }],
    'a short name': [{ ...hook, name: 'hook' }],
    'the same name twice': [hook, hook],
    'side effects': [{ ...hook, sideEffects: 'Some' }],
    'nothing said of side effects': [{ ...hook, sideEffects: undefined }],
    'a long time': [{ ...hook, timeoutSeconds: 31 }],
    'unknown policies': [{ ...hook, failurePolicy: 'What', matchPolicy: 'What' }],
    'unknown review versions': [{ ...hook, admissionReviewVersions: ['v3', 'v3'] }],
    'wildcards beside names': [
      {
        ...hook,
        rules: [{ operations: ['*', 'X'], apiGroups: ['*', 'a'], apiVersions: ['', '*'], resources: ['*', 'pods'] }],
      },
    ],
    'subresources beside wildcards': [
      { ...hook, rules: [{ ...rule, resources: ['pods/*', 'pods/x', '*/*'], scope: 'W' }] },
    ],
    conditions: [{ ...hook, ...condition('object.metadata.name == "a" && request.userInfo.username != ""') }],
    'a condition that is no boolean': [{ ...hook, ...condition('1') }],
    'a condition over what is not there': [{ ...hook, ...condition('params.x == 1') }],
    'a condition over an unknown field': [{ ...hook, ...condition('request.nope == 1', 'x y') }],
    'a bad selector': [{ ...hook, objectSelector: { matchLabels: { 'a/b/c': 'x y' } } }],
  }
  for (const url of ODD_URLS) hooks[`the address ${url}`] = [{ ...hook, clientConfig: { url } }]
  for (const [name, webhooks] of Object.entries(hooks)) {
    for (const kind of ['MutatingWebhookConfiguration', 'ValidatingWebhookConfiguration'])
      add(`${kind}: ${name}`, tryOut(`${kind.toLowerCase()}s`, kind, { webhooks }))
  }
  const constraints = { matchConstraints: { resourceRules: [rule] } }
  const validations = [{ expression: 'object.metadata.name != "a"', message: 'not a', reason: 'Forbidden' }]
  const policies: Record<string, object> = {
    plain: { ...constraints, validations },
    'no constraints': { validations },
    'no rules': { matchConstraints: {}, validations },
    'nothing to check': constraints,
    variables: {
      ...constraints,
      variables: [
        { name: 'size', expression: 'size(object.metadata.name)' },
        { name: 'twice', expression: 'variables.size * 2' },
      ],
      validations: [{ expression: 'variables.twice < 9', messageExpression: '"is " + string(variables.twice)' }],
    },
    'a variable that is not there': { ...constraints, validations: [{ expression: 'variables.nope' }] },
    'a bad name of a variable': { ...constraints, variables: [{ name: 'for', expression: '1' }], validations },
    'a variable of another type': {
      ...constraints,
      variables: [{ name: 'one', expression: '1' }],
      validations: [{ expression: 'variables.one == "x"' }],
    },
    'no boolean': { ...constraints, validations: [{ expression: '1' }] },
    'no message': {
      ...constraints,
      validations: [{ expression: 'true', messageExpression: '1', message: ' ', reason: 'What' }],
    },
    'a message of two lines': { ...constraints, validations: [{ expression: 'true', message: 'a\nb' }] },
    'parameters without a kind': { ...constraints, validations: [{ expression: 'params.x == 1' }] },
    parameters: {
      ...constraints,
      paramKind: { apiVersion: 'v1', kind: 'ConfigMap' },
      validations: [{ expression: 'params.x == 1' }],
    },
    'a bad kind of parameters': { ...constraints, paramKind: { apiVersion: 'a/b/c', kind: 'x_y' }, validations },
    'the namespace': { ...constraints, validations: [{ expression: 'namespaceObject.metadata.name == "x"' }] },
    'bad annotations': {
      ...constraints,
      auditAnnotations: [
        { key: 'a b', valueExpression: '1' },
        { key: 'c', valueExpression: '' },
        { key: 'c', valueExpression: '"x"' },
      ],
    },
    'names twice': {
      matchConstraints: { resourceRules: [{ ...rule, resourceNames: ['a', 'a', '/'] }], matchPolicy: 'Z' },
      validations,
    },
  }
  for (const [name, spec] of Object.entries(policies))
    add(`policy: ${name}`, tryOut('validatingadmissionpolicies', 'ValidatingAdmissionPolicy', { spec }))
  const bindings: Record<string, object> = {
    plain: { policyName: 'a', validationActions: ['Deny'] },
    'bad actions': { policyName: 'A B', validationActions: ['Deny', 'Warn', 'Warn', 'X'] },
    'no actions': { policyName: 'a' },
    'name and selector': {
      policyName: 'a',
      validationActions: ['Warn'],
      paramRef: { name: 'a', selector: {}, parameterNotFoundAction: 'X' },
    },
    'an empty reference': { policyName: 'a', validationActions: ['Audit'], paramRef: {} },
    'resources of its own': { policyName: 'a', validationActions: ['Audit'], matchResources: { matchPolicy: 'U' } },
  }
  for (const [name, spec] of Object.entries(bindings))
    add(
      `policy binding: ${name}`,
      tryOut('validatingadmissionpolicybindings', 'ValidatingAdmissionPolicyBinding', { spec }),
    )
}
