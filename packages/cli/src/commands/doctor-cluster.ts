/** `caisson doctor --context`: what another cluster has of what sandboxes need, and what to do about the rest. */
import { AGENTS_GROUP, CONTROLLER_LEASE, CONTROLLER_NAME, CONTROLLER_NAMESPACE, EXTENSIONS_GROUP } from '@caisson/api'
import { type Client, isApiError, isNotFound, resources } from '@caisson/client'
import { openSession, type Session } from '../cluster/session.ts'
import { type Finding, printFindings } from '../findings.ts'
import type { GlobalOptions, OutputFormat } from '../global-options.ts'

/** client-go of the controllers' time, and FlowSchemas, CEL and streamed lists in their last form. */
const OLDEST_MINOR = 30

const INSTALL = `'helm install caisson deploy/helm/caisson -n ${CONTROLLER_NAMESPACE} --create-namespace'`

export interface DoctorClusterOptions extends GlobalOptions {
  context: string
  output?: OutputFormat
}

/** Exit code 0 where sandboxes can be had there, 1 where something needed is missing. */
export async function doctorCluster(options: DoctorClusterOptions): Promise<void> {
  await using session = await openSession(options)
  const reached = await reachability(session)
  if (reached.state !== 'ok') return void printFindings([reached], options.output)
  const { client } = session
  const checks = [
    kinds(client),
    runtimeClasses(client),
    controller(client),
    lease(client),
    rights(session),
    accountRights(client),
  ]
  printFindings([reached, ...(await Promise.all(checks.map(answered))).flat()], options.output)
}

interface Check {
  check: string
  look(): Promise<Finding[]>
}

/** A question that this user may not ask is no finding about the cluster. */
async function answered({ check, look }: Check): Promise<Finding[]> {
  try {
    return await look()
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error)
    const why = isApiError(error) && error.code === 403 ? `you may not look: ${message}` : `not known: ${message}`
    return [{ check, state: 'note', needed: false, message: why }]
  }
}

async function reachability({ client, connection }: Session): Promise<Finding> {
  const about = { check: 'cluster', needed: true }
  try {
    const { gitVersion, minor } = await client.request<{ gitVersion: string; minor: string }>({
      method: 'GET',
      path: '/version',
    })
    if (Number.parseInt(minor, 10) < OLDEST_MINOR)
      return {
        ...about,
        state: 'missing',
        message: `${connection.server} is Kubernetes ${gitVersion}, older than 1.${OLDEST_MINOR}`,
      }
    return { ...about, state: 'ok', message: `${connection.server}, Kubernetes ${gitVersion}` }
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    return { ...about, state: 'missing', message: `${connection.server} does not answer as a cluster: ${why}` }
  }
}

const KINDS = [
  { check: 'sandboxes', group: AGENTS_GROUP, version: 'v1beta1', plurals: ['sandboxes'], needed: true },
  {
    check: 'pools',
    group: EXTENSIONS_GROUP,
    version: 'v1beta1',
    plurals: ['sandboxtemplates', 'sandboxclaims', 'sandboxwarmpools'],
    needed: false,
  },
  { check: 'snapshots', group: 'caisson.dev', version: 'v1alpha1', plurals: ['sandboxsnapshots'], needed: false },
] as const

function kinds(client: Client): Check {
  return { check: 'sandboxes', look: () => Promise.all(KINDS.map((kind) => served(client, kind))) }
}

async function served(
  client: Client,
  { check, group, version, plurals, needed }: (typeof KINDS)[number],
): Promise<Finding> {
  const path = `/apis/${group}/${version}`
  let there: string[] = []
  try {
    const list = await client.request<{ resources: { name: string }[] }>({ method: 'GET', path })
    there = list.resources.map(({ name }) => name)
  } catch (error) {
    if (!isNotFound(error)) throw error
  }
  const missing = plurals.filter((plural) => !there.includes(plural))
  if (missing.length === 0)
    return { check, needed, state: 'ok', message: `${plurals.join(', ')} in ${group}/${version}` }
  const file = check === 'pools' ? 'extensions.yaml' : 'manifest.yaml'
  const message = `not served: ${missing.join(', ')} in ${group}/${version}: ${INSTALL}, or 'kubectl apply -f deploy/manifests/${file}'`
  return { check, needed, state: needed ? 'missing' : 'note', message }
}

function runtimeClasses(client: Client): Check {
  const check = 'runtimes'
  return {
    check,
    async look() {
      const { items } = await client.list(resources.runtimeClasses)
      const found = items.map(({ metadata, handler }) => `${metadata.name} (${handler})`)
      const isolating = items.some(({ handler }) => /runsc|gvisor|kata/.test(handler))
      const message = isolating
        ? `RuntimeClasses ${found.join(', ')}`
        : `no RuntimeClass of gVisor or Kata (${found.join(', ') || 'none at all'}): sandboxes without one share the kernel of their node. Nodes need gVisor, and RuntimeClass gvisor with handler runsc has to be applied`
      return [{ check, needed: false, state: isolating ? 'ok' : 'note', message }]
    },
  }
}

function controller(client: Client): Check {
  const check = 'controller'
  return {
    check,
    async look() {
      const about = { check, needed: false }
      try {
        const { spec, status } = await client.get(resources.deployments, CONTROLLER_NAME, {
          namespace: CONTROLLER_NAMESPACE,
        })
        const image = spec?.template.spec?.containers[0]?.image ?? 'no image'
        const [ready, wanted] = [status?.readyReplicas ?? 0, spec?.replicas ?? 1]
        const message = `Deployment ${CONTROLLER_NAMESPACE}/${CONTROLLER_NAME}: ${ready} of ${wanted} ready, ${image}`
        if (ready > 0) return [{ ...about, state: 'ok', message }]
        const help = `'kubectl describe pods -n ${CONTROLLER_NAMESPACE} -l app=${CONTROLLER_NAME}' says why`
        return [{ ...about, state: 'note', message: `${message}: ${help}` }]
      } catch (error) {
        if (!isNotFound(error)) throw error
        return [
          {
            ...about,
            state: 'note',
            message: `there is no Deployment ${CONTROLLER_NAMESPACE}/${CONTROLLER_NAME}: ${INSTALL}, or 'caisson controller' from outside`,
          },
        ]
      }
    },
  }
}

/** Who works, which counts wherever that process runs. */
function lease(client: Client): Check {
  const check = 'lease'
  return {
    check,
    async look() {
      const about = { check, needed: true }
      try {
        const { spec } = await client.get(resources.leases, CONTROLLER_LEASE, { namespace: CONTROLLER_NAMESPACE })
        const seconds = Math.round((Date.now() - Date.parse(spec?.renewTime ?? '')) / 1000)
        const lasts = spec?.leaseDurationSeconds ?? 15
        if (!spec?.holderIdentity)
          return [
            {
              ...about,
              state: 'missing',
              message: `nobody holds ${CONTROLLER_NAMESPACE}/${CONTROLLER_LEASE}: no controller works on sandboxes`,
            },
          ]
        if (!(seconds <= lasts))
          return [
            {
              ...about,
              state: 'missing',
              message: `${spec.holderIdentity} has not renewed ${CONTROLLER_NAMESPACE}/${CONTROLLER_LEASE} for ${seconds} s, by the clock of this machine: no controller works on sandboxes`,
            },
          ]
        return [{ ...about, state: 'ok', message: `${spec.holderIdentity} works, renewed ${seconds} s ago` }]
      } catch (error) {
        if (!isNotFound(error)) throw error
        return [
          {
            ...about,
            state: 'missing',
            message: `there is no Lease ${CONTROLLER_NAMESPACE}/${CONTROLLER_LEASE}: no controller has worked on sandboxes yet: see controller`,
          },
        ]
      }
    },
  }
}

interface Action {
  group: string
  resource: string
  verb: string
  subresource?: string
}

/** What `caisson run` and `caisson claim` do. */
const OF_USERS: readonly Action[] = [
  { group: AGENTS_GROUP, resource: 'sandboxes', verb: 'create' },
  { group: EXTENSIONS_GROUP, resource: 'sandboxclaims', verb: 'create' },
  { group: '', resource: 'pods', verb: 'create', subresource: 'exec' },
  { group: '', resource: 'pods', verb: 'get', subresource: 'log' },
  // One policy closes the network of what `caisson run` starts.
  { group: 'networking.k8s.io', resource: 'networkpolicies', verb: 'create' },
  { group: 'networking.k8s.io', resource: 'networkpolicies', verb: 'patch' },
]

function rights({ client, namespace }: Session): Check {
  const check = 'rights'
  return {
    check,
    async look() {
      const refused = await refusedOf(client, OF_USERS, { namespace, path: 'selfsubjectaccessreviews', spec: {} })
      if (refused.length === 0)
        return [{ check, needed: false, state: 'ok', message: `you may have sandboxes in namespace ${namespace}` }]
      const message = `in namespace ${namespace} you may not: ${refused.join(', ')}`
      return [{ check, needed: false, state: 'note', message }]
    },
  }
}

/** Of what the controllers do, what each of their Roles allows. */
const OF_CONTROLLERS: readonly Action[] = [
  { group: AGENTS_GROUP, resource: 'sandboxes', verb: 'watch' },
  { group: AGENTS_GROUP, resource: 'sandboxes', verb: 'patch', subresource: 'status' },
  { group: '', resource: 'pods', verb: 'create' },
  { group: EXTENSIONS_GROUP, resource: 'sandboxclaims', verb: 'patch', subresource: 'status' },
  { group: 'networking.k8s.io', resource: 'networkpolicies', verb: 'create' },
]

function accountRights(client: Client): Check {
  const check = 'account'
  return {
    check,
    async look() {
      const user = `system:serviceaccount:${CONTROLLER_NAMESPACE}:${CONTROLLER_NAME}`
      const groups = [
        'system:serviceaccounts',
        `system:serviceaccounts:${CONTROLLER_NAMESPACE}`,
        'system:authenticated',
      ]
      const asked = { namespace: '', path: 'subjectaccessreviews', spec: { user, groups } }
      const refused = await refusedOf(client, OF_CONTROLLERS, asked)
      if (refused.length === 0)
        return [{ check, needed: false, state: 'ok', message: `${CONTROLLER_NAME} may work in every namespace` }]
      const message = `${CONTROLLER_NAME} may not, in every namespace: ${refused.join(', ')} (with --namespaces that is as it should be): 'kubectl apply -f deploy/manifests/manifest.yaml' and 'extensions.yaml' allow it`
      return [{ check, needed: false, state: 'note', message }]
    },
  }
}

async function refusedOf(
  client: Client,
  actions: readonly Action[],
  { namespace, path, spec }: { namespace: string; path: string; spec: object },
): Promise<string[]> {
  const answers = await Promise.all(
    actions.map(async (action) => {
      const kind = path === 'subjectaccessreviews' ? 'SubjectAccessReview' : 'SelfSubjectAccessReview'
      const { status } = await client.request<{ status: { allowed: boolean } }>({
        method: 'POST',
        path: `/apis/authorization.k8s.io/v1/${path}`,
        body: {
          apiVersion: 'authorization.k8s.io/v1',
          kind,
          spec: { ...spec, resourceAttributes: { ...action, ...(namespace && { namespace }) } },
        },
      })
      const { verb, resource, subresource } = action
      return status.allowed ? [] : [`${verb} ${resource}${subresource ? `/${subresource}` : ''}`]
    }),
  )
  return answers.flat()
}
