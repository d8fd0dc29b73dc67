/** `caisson template`: what pools and claims make sandboxes from. */
import type { SandboxTemplate } from '@caisson/api'
import { isAlreadyExists, sandboxTemplates } from '@caisson/client'
import { CliError } from '../cli-error.ts'
import { openSession } from '../cluster/session.ts'
import type { GlobalOptions, OutputFormat } from '../global-options.ts'
import { age, type Printed, printList } from '../print.ts'
import { podSpec } from '../run/pod-spec.ts'

export interface TemplateListOptions extends GlobalOptions {
  allNamespaces?: boolean
  output?: OutputFormat
}

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

const COLUMNS = ['NAME', 'IMAGE', 'CLASS', 'AGE']
/** What a sandbox does that waits for commands. */
const WAITS = ['sleep', 'infinity']

export async function templateList({ allNamespaces = false, output, ...options }: TemplateListOptions): Promise<void> {
  await using session = await openSession(options)
  const { items } = await session.client.list(sandboxTemplates, allNamespaces ? {} : { namespace: session.namespace })
  if (items.length === 0 && !output) return console.error(`no templates in namespace ${session.namespace}`)
  const always = [...(allNamespaces ? ['NAMESPACE'] : []), ...COLUMNS]
  await printList(
    items.map((template) => row(template, allNamespaces)),
    { always },
    output,
  )
}

/** With the defaults of `caisson run`: not root, no more of the machine than it was given, cut off from the network. */
export async function templateCreate(options: TemplateCreateOptions): Promise<void> {
  const command = options.command[0] === '--' ? options.command.slice(1) : options.command
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
  try {
    const template = await client.create(
      sandboxTemplates,
      {
        metadata: { name },
        spec: {
          podTemplate: { metadata: { annotations: { 'caisson.dev/network': options.network } }, spec },
          ...(options.claimEnv && { envVarsInjectionPolicy: 'Allowed' as const, envVarsDelivery: 'Warm' as const }),
        },
      },
      { namespace },
    )
    await printList([row(template, false)], { always: COLUMNS }, options.output ?? 'name')
  } catch (error) {
    if (!isAlreadyExists(error)) throw error
    throw new CliError('failed', `there is a template ${name} already: choose another name`)
  }
}

function row(template: SandboxTemplate, withNamespace: boolean): Printed {
  const { metadata, spec } = template
  const pod = spec.podTemplate.spec
  return {
    kind: 'sandboxtemplate',
    name: metadata.name ?? '',
    object: template,
    cells: [
      ...(withNamespace ? [metadata.namespace ?? ''] : []),
      metadata.name ?? '',
      pod.containers[0]?.image ?? '',
      pod.runtimeClassName ?? '',
      age(metadata.creationTimestamp, Date.now()),
    ],
  }
}
