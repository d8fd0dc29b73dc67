/** `caisson template`: what pools and claims make sandboxes from. */
import { NETWORK_ANNOTATION, type SandboxTemplate } from '@caisson/api'
import { isAlreadyExists, sandboxTemplates } from '@caisson/client'
import { CliError } from '../cli-error.ts'
import { openSession, type Session } from '../cluster/session.ts'
import type { GlobalOptions, OutputFormat } from '../global-options.ts'
import { type Listing, type ListOptions, listObjects, printMade } from '../list-objects.ts'
import { missingNamespace } from '../missing-namespace.ts'
import { requireName } from '../new-name.ts'
import { isCaisson, runtimeClassElsewhere } from '../run/elsewhere.ts'
import { podSpec } from '../run/pod-spec.ts'

export interface TemplateCreateOptions extends GlobalOptions {
  name: string
  command: string[]
  image: string
  runtimeClass?: string
  env: string[]
  workdir?: string
  user?: string
  cpu?: string
  memory: string
  storage: string
  network: 'none' | 'isolated' | 'open'
  claimEnv?: boolean
  output?: OutputFormat
}

const TEMPLATES: Listing<SandboxTemplate> = {
  resource: sandboxTemplates,
  plural: 'templates',
  columns: { always: ['IMAGE', 'CLASS'] },
  row({ spec }) {
    const pod = spec.podTemplate.spec
    return { cells: [pod.containers[0]?.image ?? '', pod.runtimeClassName ?? ''] }
  },
}
/** What a sandbox does that waits for commands. */
const WAITS = ['sleep', 'infinity']

export async function templateList(options: ListOptions): Promise<void> {
  await listObjects(TEMPLATES, options)
}

/** With the defaults of `caisson run`: not root, no more of the machine than it was given, cut off from the network. */
export async function templateCreate(options: TemplateCreateOptions): Promise<void> {
  const { command } = options
  requireName('NAME', options.name)
  const { restartPolicy: _restartPolicy, ...spec } = podSpec({
    ...options,
    command: command.length > 0 ? command : WAITS,
    detach: true,
    pull: 'missing',
    volume: [],
    publish: [],
  })
  await using session = await openSession(options)
  const { client, namespace } = session
  const { name } = options
  const elsewhere = await elsewhereSpec(session, options)
  try {
    const template = await client.create(
      sandboxTemplates,
      {
        metadata: { name },
        spec: {
          podTemplate: {
            metadata: { annotations: { [NETWORK_ANNOTATION]: options.network } },
            spec: { ...spec, ...elsewhere.pod },
          },
          ...elsewhere.template,
          ...(options.claimEnv && { envVarsInjectionPolicy: 'Allowed' as const, envVarsDelivery: 'Warm' as const }),
        },
      },
      { namespace },
    )
    await printMade(TEMPLATES, template, options.output)
  } catch (error) {
    const missing = missingNamespace(error, namespace)
    if (missing) throw missing
    if (!isAlreadyExists(error)) throw error
    throw new CliError('failed', `there is a template ${name} already: choose another name`)
  }
}

/** On a cluster whose nodes are not Caisson's, the controllers have a NetworkPolicy of each template. */
async function elsewhereSpec(
  session: Session,
  options: TemplateCreateOptions,
): Promise<{ pod?: { runtimeClassName: string }; template?: Partial<SandboxTemplate['spec']> }> {
  if (await isCaisson(session)) return {}
  return {
    pod: { runtimeClassName: await runtimeClassElsewhere(session, options) },
    template: options.network === 'open' ? { networkPolicyManagement: 'Unmanaged' } : { networkPolicy: {} },
  }
}
