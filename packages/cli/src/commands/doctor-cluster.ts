/** `caisson doctor --context`: what another cluster has of what sandboxes need, and what to do about the rest. */
import { AGENTS_GROUP, CONTROLLER_LEASE, CONTROLLER_NAME, CONTROLLER_NAMESPACE, EXTENSIONS_GROUP } from '@caisson/api'
import { type Client, isApiError, isNotFound, resources, sandboxTemplates } from '@caisson/client'
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
    ...KINDS.map((kind) => servedKind(client, kind)),
    runtimeClasses(client),
    controller(client),
    lease(client),
    rights(session),
    accountRights(client),
    warmEnvRights(client),
  ]
  printFindings([reached, ...(await Promise.all(checks.map(answered)))], options.output)
}

interface Check {
  check: string
  needed: boolean
  look(): Promise<Pick<Finding, 'state' | 'message'>>
}

async function answered({ check, needed, look }: Check): Promise<Finding> {
  try {
    return { check, needed, ...(await look()) }
  } catch (error) {
    // A question that this user may not ask is no finding about the cluster.
    const message = error instanceof Error ? error.message : String(error)
    const why = isApiError(error) && error.code === 403 ? `you may not look: ${message}` : `not known: ${message}`
    return { check, needed: false, state: 'note', message: why }
  }
}

async function reachability({ client, connection }: Session): Promise<Finding> {
  const about = { check: 'cluster', needed: true }
  try {
    const { gitVersion, minor } = await client.request<{ gitVersion: string; minor: string }>({
      method: 'GET',
      path: '/version',
    })
    if (Number.parseInt(minor, 10) < OLDEST_MINOR) {
      const message = `${connection.server} is Kubernetes ${gitVersion}, older than 1.${OLDEST_MINOR}`
      return { ...about, state: 'missing', message }
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

function servedKind(client: Client, { check, group, version, plurals, needed }: (typeof KINDS)[number]): Check {
  return {
    check,
    needed,
    async look() {
      const path = `/apis/${group}/${version}`
      const list = await found(client.request<{ resources: { name: string }[] }>({ method: 'GET', path }))
      const there = list?.resources.map(({ name }) => name) ?? []
      const missing = plurals.filter((plural) => !there.includes(plural))
      if (missing.length === 0) return { state: 'ok', message: `${plurals.join(', ')} in ${group}/${version}` }
      const file = check === 'pools' ? 'extensions.yaml' : 'manifest.yaml'
      const message = `not served: ${missing.join(', ')} in ${group}/${version}: ${INSTALL}, or 'kubectl apply -f deploy/manifests/${file}'`
      return { state: needed ? 'missing' : 'note', message }
    },
  }
}

function runtimeClasses(client: Client): Check {
  return {
    check: 'runtimes',
    needed: false,
    async look() {
      const { items } = await client.list(resources.runtimeClasses)
      const classes = items.map(({ metadata, handler }) => `${metadata.name} (${handler})`)
      if (items.some(({ handler }) => /runsc|gvisor|kata/.test(handler)))
        return { state: 'ok', message: `RuntimeClasses ${classes.join(', ')}` }
      const message = `no RuntimeClass of gVisor or Kata (${classes.join(', ') || 'none at all'}): sandboxes without one share the kernel of their node. Nodes need gVisor, and RuntimeClass gvisor with handler runsc has to be applied`
      return { state: 'note', message }
    },
  }
}

function controller(client: Client): Check {
  const name = `${CONTROLLER_NAMESPACE}/${CONTROLLER_NAME}`
  return {
    check: 'controller',
    needed: false,
    async look() {
      const deployment = await found(
        client.get(resources.deployments, CONTROLLER_NAME, { namespace: CONTROLLER_NAMESPACE }),
      )
      if (!deployment) {
        const message = `there is no Deployment ${name}: ${INSTALL}, or 'caisson controller' from outside`
        return { state: 'note', message }
      }
      const { spec, status } = deployment
      const image = spec?.template.spec?.containers[0]?.image ?? 'no image'
      const [ready, wanted] = [status?.readyReplicas ?? 0, spec?.replicas ?? 1]
      const message = `Deployment ${name}: ${ready} of ${wanted} ready, ${image}`
      if (ready > 0) return { state: 'ok', message }
      const help = `'kubectl describe pods -n ${CONTROLLER_NAMESPACE} -l app=${CONTROLLER_NAME}' says why`
      return { state: 'note', message: `${message}: ${help}` }
    },
  }
}

/** Who works, which counts wherever that process runs. */
function lease(client: Client): Check {
  const name = `${CONTROLLER_NAMESPACE}/${CONTROLLER_LEASE}`
  return {
    check: 'lease',
    needed: true,
    async look() {
      const object = await found(client.get(resources.leases, CONTROLLER_LEASE, { namespace: CONTROLLER_NAMESPACE }))
      if (!object) {
        const message = `there is no Lease ${name}: no controller has worked on sandboxes yet: see controller`
        return { state: 'missing', message }
      }
      const { holderIdentity, renewTime, leaseDurationSeconds = 15 } = object.spec ?? {}
      if (!holderIdentity)
        return { state: 'missing', message: `nobody holds ${name}: no controller works on sandboxes` }
      const seconds = Math.round((Date.now() - Date.parse(renewTime ?? '')) / 1000)
      if (seconds <= leaseDurationSeconds)
        return { state: 'ok', message: `${holderIdentity} works, renewed ${seconds} s ago` }
      const message = `${holderIdentity} has not renewed ${name} for ${seconds} s, by the clock of this machine: no controller works on sandboxes`
      return { state: 'missing', message }
    },
  }
}

/** Undefined where there is no such object. */
async function found<T>(asked: Promise<T>): Promise<T | undefined> {
  try {
    return await asked
  } catch (error) {
    if (isNotFound(error)) return undefined
    throw error
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
  return {
    check: 'rights',
    needed: false,
    async look() {
      const refused = await refusedOf(client, OF_USERS, { namespace, path: 'selfsubjectaccessreviews', spec: {} })
      if (refused.length === 0) return { state: 'ok', message: `you may have sandboxes in namespace ${namespace}` }
      return { state: 'note', message: `in namespace ${namespace} you may not: ${refused.join(', ')}` }
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
  return {
    check: 'account',
    needed: false,
    async look() {
      const refused = await refusedToAccount(client, OF_CONTROLLERS)
      if (refused.length === 0) return { state: 'ok', message: `${CONTROLLER_NAME} may work in every namespace` }
      const message = `${CONTROLLER_NAME} may not, in every namespace: ${refused.join(', ')} (with --namespaces that is as it should be): 'kubectl apply -f deploy/manifests/manifest.yaml' and 'extensions.yaml' allow it`
      return { state: 'note', message }
    },
  }
}

/** What giving a member of a pool its environment takes, which the account is not allowed unless it is asked for. */
const OF_WARM_ENV: readonly Action[] = [
  { group: '', resource: 'secrets', verb: 'get' },
  { group: '', resource: 'secrets', verb: 'create' },
  { group: '', resource: 'secrets', verb: 'delete' },
  { group: '', resource: 'configmaps', verb: 'get' },
]

function warmEnvRights(client: Client): Check {
  return {
    check: 'warm env',
    needed: false,
    async look() {
      const templates = (await found(client.list(sandboxTemplates)))?.items ?? []
      const warm = templates.filter(({ spec }) => spec.envVarsDelivery === 'Warm')
      const [{ metadata } = {}] = warm
      if (!metadata) return { state: 'ok', message: 'no template has envVarsDelivery Warm' }
      const refused = await refusedToAccount(client, OF_WARM_ENV)
      const named = `${metadata.namespace}/${metadata.name}${warm.length > 1 ? ` and ${warm.length - 1} more` : ''}`
      if (refused.length === 0)
        return { state: 'ok', message: `${CONTROLLER_NAME} may do what templates with envVarsDelivery Warm need` }
      const message = `claims of the template ${named}, which has envVarsDelivery Warm, get no environment: ${CONTROLLER_NAME} may not ${refused.join(', ')} in every namespace: 'kubectl apply -f deploy/manifests/warm-env.yaml' allows it, and so does rbac.warmEnv of the Helm chart`
      return { state: 'note', message }
    },
  }
}

/** What the account may not do in every namespace. */
function refusedToAccount(client: Client, actions: readonly Action[]): Promise<string[]> {
  const user = `system:serviceaccount:${CONTROLLER_NAMESPACE}:${CONTROLLER_NAME}`
  const groups = ['system:serviceaccounts', `system:serviceaccounts:${CONTROLLER_NAMESPACE}`, 'system:authenticated']
  return refusedOf(client, actions, { namespace: '', path: 'subjectaccessreviews', spec: { user, groups } })
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
