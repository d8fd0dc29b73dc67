import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { startTemporaryServer, type WholeServer } from '../../testing/whole-server.ts'

const GROUP = '/apis/admissionregistration.k8s.io/v1'
const MAPS = '/api/v1/namespaces/default/configmaps'
const RULES = [{ operations: ['*'], apiGroups: [''], apiVersions: ['v1'], resources: ['configmaps'] }]
const MERGE = { 'content-type': 'application/merge-patch+json' }

let api: WholeServer
let next = 0

beforeAll(async () => {
  api = await startTemporaryServer({
    node: () => ({
      request: (_request, response) => void response.writeHead(400).end('the node was asked'),
      upgrade: ({ url = '' }, socket) =>
        void socket.end(`HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: ${url.length}\r\n\r\n${url}`),
    }),
  })
})

afterAll(async () => {
  await api[Symbol.asyncDispose]()
  expect(api.reported).toEqual([])
})

afterEach(async () => {
  await api.request('DELETE', `${GROUP}/validatingadmissionpolicybindings`)
  await api.request('DELETE', `${GROUP}/validatingadmissionpolicies`)
})

async function install(spec: object, ...bindings: object[]): Promise<void> {
  const name = 'policy'
  const policy = { metadata: { name }, spec: { matchConstraints: { resourceRules: RULES }, ...spec } }
  const answers = [await api.request('POST', `${GROUP}/validatingadmissionpolicies`, { body: policy })]
  for (const [index, binding] of bindings.entries())
    answers.push(
      await api.request('POST', `${GROUP}/validatingadmissionpolicybindings`, {
        body: {
          metadata: { name: `binding-${index}` },
          spec: { policyName: name, validationActions: ['Deny'], ...binding },
        },
      }),
    )
  expect(answers.map(({ status, body }) => (status === 201 ? 201 : body.message))).toEqual(answers.map(() => 201))
}

async function make(rest: object = {}, metadata: object = {}) {
  return api.request('POST', MAPS, { body: { metadata: { name: `made-${next++}`, ...metadata }, ...rest } })
}

const messageOf = async (answer: Promise<{ body: { message?: string } }>): Promise<string | undefined> =>
  (await answer).body.message?.replace(
    /^configmaps "[^"]*" is forbidden: ValidatingAdmissionPolicy 'policy' with binding /,
    '',
  )

test('what goes with its definition is asked of nobody', async () => {
  const definitions = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions'
  const schema = { openAPIV3Schema: { type: 'object' } }
  const body = {
    metadata: { name: 'kept.example.com' },
    spec: {
      group: 'example.com',
      scope: 'Namespaced',
      names: { plural: 'kept', kind: 'Kept' },
      versions: [{ name: 'v1', served: true, storage: true, schema }],
    },
  }
  expect((await api.request('POST', definitions, { body })).status).toBe(201)
  const kept = '/apis/example.com/v1/namespaces/default/kept'
  const object = { apiVersion: 'example.com/v1', kind: 'Kept', metadata: { name: 'one' } }
  expect((await api.request('POST', kept, { body: object })).status).toBe(201)
  const rules = [{ operations: ['DELETE'], apiGroups: ['*'], apiVersions: ['*'], resources: ['kept'] }]
  const validations = [{ expression: 'false', message: 'it stays' }]
  await install({ matchConstraints: { resourceRules: rules }, validations }, {})
  expect((await api.request('DELETE', `${kept}/one`)).body.message).toMatch('it stays')
  expect((await api.request('DELETE', `${definitions}/kept.example.com`)).status).toBe(200)
  await expect.poll(async () => (await api.request('GET', `${definitions}/kept.example.com`)).status).toBe(404)
  expect([...api.store.list('kept.example.com')]).toEqual([])
})

/** What the node was asked for. */
async function upgraded(path: string): Promise<string> {
  return (await api.request('POST', path, { headers: { connection: 'Upgrade', upgrade: 'echo' } })).text
}

describe('a policy', () => {
  test('denies in the form of kube-apiserver', async () => {
    await install({ validations: [{ expression: '!has(object.data)', message: 'no data please' }] }, {})
    const { status, body } = await make({ data: { a: '1' } }, { name: 'denied' })
    const said = "ValidatingAdmissionPolicy 'policy' with binding 'binding-0' denied request: no data please"
    expect([status, body]).toEqual([
      422,
      {
        kind: 'Status',
        apiVersion: 'v1',
        metadata: {},
        status: 'Failure',
        message: `configmaps "denied" is forbidden: ${said}`,
        reason: 'Invalid',
        details: { name: 'denied', kind: 'configmaps', causes: [{ message: said }] },
        code: 422,
      },
    ])
    expect((await make()).status).toBe(201)
  })

  test('has variables, which are evaluated when they are needed, and messages of its own making', async () => {
    await install(
      {
        variables: [
          { name: 'data', expression: 'has(object.data) ? object.data : {}' },
          { name: 'size', expression: 'variables.data.size()' },
          { name: 'never', expression: 'object.nope.x' },
        ],
        validations: [
          {
            expression: 'variables.size < 2',
            messageExpression: '"too many: " + string(variables.size)',
            reason: 'Forbidden',
          },
          { expression: '!("never" in variables.data) || variables.never == 1' },
          {
            expression: '!("bad message" in variables.data)',
            messageExpression: 'string(object.nope.x)',
            message: 'as said',
          },
          { expression: '!("none" in variables.data)' },
        ],
      },
      {},
    )
    expect((await make()).status).toBe(201)
    expect((await make({ data: { a: '', b: '' } })).status).toBe(403)
    expect([
      await messageOf(make({ data: { a: '', b: '' } })),
      await messageOf(make({ data: { never: '' } })),
      await messageOf(make({ data: { 'bad message': '' } }) as never),
      await messageOf(make({ data: { none: '' } })),
    ]).toEqual([
      "'binding-0' denied request: too many: 2",
      `'binding-0' denied request: expression '!("never" in variables.data) || variables.never == 1' resulted in error: composited variable "never" fails to evaluate: no such key: nope`,
      expect.stringMatching(/Invalid value: "bad message"/),
      `'binding-0' denied request: failed expression: !("none" in variables.data)`,
    ])
  })

  test('sees old and new objects, and who asks for what', async () => {
    await install(
      {
        validations: [
          { expression: 'request.operation != "DELETE" || oldObject.metadata.name != "keep"', message: 'kept' },
          {
            expression: 'request.operation != "UPDATE" || object.metadata.labels == oldObject.metadata.labels',
            message: 'labels stay',
          },
          { expression: 'namespaceObject.metadata.name == request.namespace' },
          { expression: 'request.userInfo.groups.exists(group, group == "system:masters")' },
        ],
      },
      {},
    )
    expect((await make({}, { name: 'keep', labels: { a: '1' } })).status).toBe(201)
    expect([
      await messageOf(api.request('DELETE', `${MAPS}/keep`)),
      await messageOf(
        api.request('PATCH', `${MAPS}/keep`, { body: { metadata: { labels: { a: '2' } } }, headers: MERGE }),
      ),
      (await api.request('PATCH', `${MAPS}/keep`, { body: { data: { a: '2' } }, headers: MERGE })).status,
    ]).toEqual(["'binding-0' denied request: kept", "'binding-0' denied request: labels stay", 200])
  })

  test('that lets nobody execute in a Pod has its ports not answered by who executes', async () => {
    const pods = '/api/v1/namespaces/default/pods'
    await api.request('POST', '/api/v1/namespaces/default/serviceaccounts', { body: { metadata: { name: 'default' } } })
    await api.request('POST', pods, {
      body: { metadata: { name: 'ports' }, spec: { nodeName: 'here', containers: [{ name: 'c', image: 'x' }] } },
    })
    const before = await upgraded(`${pods}/ports/portforward?ports=8888`)
    const resourceRules = [{ operations: ['CONNECT'], apiGroups: [''], apiVersions: ['v1'], resources: ['pods/exec'] }]
    await install({ matchConstraints: { resourceRules }, validations: [{ expression: 'false' }] }, {})
    expect([before, await upgraded(`${pods}/ports/portforward?ports=8888`)]).toEqual([
      '/portForward/default/ports?ports=8888&mayExecute=true',
      '/portForward/default/ports?ports=8888',
    ])
  })

  test('judges who connects to Pods, by how', async () => {
    const resourceRules = [{ operations: ['CONNECT'], apiGroups: [''], apiVersions: ['v1'], resources: ['pods/exec'] }]
    await install(
      {
        matchConstraints: { resourceRules },
        validations: [
          {
            expression: '!has(object.tty) && object.command[0] != "sh"',
            messageExpression: '"no " + object.kind + " of " + request.name',
          },
        ],
      },
      {},
    )
    const pods = '/api/v1/namespaces/default/pods'
    await api.request('POST', '/api/v1/namespaces/default/serviceaccounts', { body: { metadata: { name: 'default' } } })
    await api.request('POST', pods, {
      body: { metadata: { name: 'p' }, spec: { nodeName: 'here', containers: [{ name: 'c', image: 'x' }] } },
    })
    const exec = async (query: string) => (await api.request('POST', `${pods}/p/exec?${query}`)).body.message
    expect([await exec('command=sh'), await exec('command=ls&tty=true'), await exec('command=ls')]).toEqual([
      `pods "p" is forbidden: ValidatingAdmissionPolicy 'policy' with binding 'binding-0' denied request: no PodExecOptions of p`,
      `pods "p" is forbidden: ValidatingAdmissionPolicy 'policy' with binding 'binding-0' denied request: no PodExecOptions of p`,
      'the node was asked',
    ])
  })

  test('only warns, or is only noted, where its binding says so', async () => {
    await install(
      { validations: [{ expression: 'false', message: 'careful' }] },
      { validationActions: ['Warn', 'Audit'] },
    )
    const { status, headers } = await make()
    expect([status, headers['warning']]).toEqual([
      201,
      `299 - "Validation failed for ValidatingAdmissionPolicy 'policy' with binding 'binding-0': careful"`,
    ])
  })

  test('judges by parameters', async () => {
    for (const [name, max] of Object.entries({ one: '1', two: '2' }))
      await api.request('POST', MAPS, { body: { metadata: { name, labels: { params: 'yes' } }, data: { max } } })
    const byName = { paramRef: { name: 'one', parameterNotFoundAction: 'Deny' } }
    const byLabel = { paramRef: { selector: { matchLabels: { params: 'yes' } }, parameterNotFoundAction: 'Allow' } }
    const missing = { paramRef: { name: 'none', parameterNotFoundAction: 'Deny' } }
    const spec = {
      paramKind: { apiVersion: 'v1', kind: 'ConfigMap' },
      validations: [
        {
          expression: 'object.data.size() <= int(params.data.max)',
          messageExpression: '"more than " + params.data.max',
        },
      ],
      matchConditions: [{ name: 'has-data', expression: 'has(object.data)' }],
    }
    await install(spec, byLabel)
    expect([
      await messageOf(make({ data: { a: '', b: '', c: '' } })),
      (await make({ data: { a: '' } })).status,
    ]).toEqual(["'binding-0' denied request: more than 1", 201])
    await api.request('DELETE', `${GROUP}/validatingadmissionpolicybindings`)
    await api.request('DELETE', `${GROUP}/validatingadmissionpolicies`)
    await install(spec, byName, missing)
    expect(await messageOf(make({ data: { a: '' } }))).toBe(
      "'binding-1' denied request: failed to configure binding: no params found for policy binding with `Deny` parameterNotFoundAction",
    )
  })

  test('that cannot be evaluated denies, or does not, as it says', async () => {
    const validations = [{ expression: 'object.nope.x == 1' }]
    await install({ validations, failurePolicy: 'Ignore' }, {})
    expect((await make()).status).toBe(201)
    await api.request('DELETE', `${GROUP}/validatingadmissionpolicybindings`)
    await api.request('DELETE', `${GROUP}/validatingadmissionpolicies`)
    await install({ validations }, {})
    expect(await messageOf(make())).toBe(
      "'binding-0' denied request: expression 'object.nope.x == 1' resulted in error: no such key: nope",
    )
  })

  test('that never ends is cut off by its cost', async () => {
    const list = `[${Array.from({ length: 100 }, (_, index) => index).join()}]`
    const expression = `${list}.all(a, ${list}.all(b, ${list}.all(c, ${list}.all(d, a + b + c + d >= 0))))`
    await install({ validations: [{ expression }] }, {})
    const started = performance.now()
    expect((await make()).status).toBe(422)
    expect(performance.now() - started).toBeLessThan(10_000)
  })

  test('is not subject to itself', async () => {
    const everything = [{ operations: ['*'], apiGroups: ['*'], apiVersions: ['*'], resources: ['*/*'] }]
    await install({ matchConstraints: { resourceRules: everything }, validations: [{ expression: 'false' }] }, {})
    expect((await make()).status).toBe(422)
    expect((await api.request('DELETE', `${GROUP}/validatingadmissionpolicies/policy`)).status).toBe(200)
    expect((await make()).status).toBe(201)
  })

  test('says where its expressions do not fit the types of what they judge', async () => {
    await install({
      matchConstraints: {
        resourceRules: [{ ...RULES[0], apiGroups: ['', 'apps'], resources: ['configmaps', 'deployments'] }],
      },
      validations: [{ expression: 'object.spec.replicas > 1' }, { expression: 'object.data.x == 1' }],
    })
    const status = async () => (await api.request('GET', `${GROUP}/validatingadmissionpolicies/policy`)).body.status
    await expect.poll(status).toEqual({
      observedGeneration: 1,
      typeChecking: {
        expressionWarnings: [
          {
            fieldRef: 'spec.validations[0].expression',
            warning:
              "/v1, Kind=ConfigMap: ERROR: <input>:1:7: undefined field 'spec'\n | object.spec.replicas > 1\n | ......^\n",
          },
          {
            fieldRef: 'spec.validations[1].expression',
            warning:
              "/v1, Kind=ConfigMap: ERROR: <input>:1:15: found no matching overload for '_==_' applied to '(string, int)'\n | object.data.x == 1\n | ..............^\n\napps/v1, Kind=Deployment: ERROR: <input>:1:7: undefined field 'data'\n | object.data.x == 1\n | ......^\n",
          },
        ],
      },
    })
  })
})
