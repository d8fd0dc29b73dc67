/** `caisson pool`: warm pools. */
import { findCondition, type SandboxWarmPool } from '@caisson/api'
import { isAlreadyExists, isNotFound, sandboxTemplates, sandboxWarmPools } from '@caisson/client'
import { CliError } from '../cli-error.ts'
import { openSession } from '../cluster/session.ts'
import { parseDuration } from '../duration.ts'
import type { GlobalOptions, OutputFormat } from '../global-options.ts'
import { type Listing, type ListOptions, listObjects, printMade } from '../list-objects.ts'
import { requireName } from '../new-name.ts'

export interface PoolCreateOptions extends GlobalOptions {
  name: string
  template: string
  replicas?: string
  min?: string
  max?: string
  idleTimeout?: string
  output?: OutputFormat
}

export interface PoolScaleOptions extends GlobalOptions {
  name: string
  replicas: string
}

const POOLS: Listing<SandboxWarmPool> = {
  resource: sandboxWarmPools,
  plural: 'pools',
  columns: { always: ['READY', 'DESIRED', 'TEMPLATE', 'REASON'], wide: ['MESSAGE'] },
  row({ spec, status }) {
    const ready = findCondition(status?.conditions, 'Ready')
    const { replicas = 1, minReplicas, maxReplicas } = spec
    const follows = minReplicas !== undefined || maxReplicas !== undefined
    const desired = follows ? `${minReplicas ?? 0}-${maxReplicas ?? ''}` : String(replicas)
    return {
      cells: [String(status?.readyReplicas ?? 0), desired, spec.sandboxTemplateRef.name, ready?.reason ?? ''],
      wide: [ready?.message ?? ''],
    }
  },
}

export async function poolList(options: ListOptions): Promise<void> {
  await listObjects(POOLS, options)
}

export async function poolCreate({ name, template, output, ...options }: PoolCreateOptions): Promise<void> {
  requireName('NAME', name)
  const [replicas, minReplicas, maxReplicas] = [
    count('--replicas', options.replicas),
    count('--min', options.min),
    count('--max', options.max),
  ]
  const follows = minReplicas !== undefined || maxReplicas !== undefined
  if (follows && replicas !== undefined)
    throw new CliError(
      'usage',
      '--replicas and --min or --max contradict each other: a pool is of one size, or follows demand',
    )
  if (!follows && options.idleTimeout !== undefined)
    throw new CliError('usage', '--idle-timeout needs --min or --max: a pool of one size does not shrink')
  if ((minReplicas ?? 0) > (maxReplicas ?? Number.POSITIVE_INFINITY))
    throw new CliError('usage', `--min ${minReplicas} is greater than --max ${maxReplicas}`)
  const idle =
    options.idleTimeout === undefined
      ? undefined
      : Math.ceil(parseDuration('--idle-timeout', options.idleTimeout) / 1000)
  if (idle === 0) throw new CliError('usage', '--idle-timeout takes a second or more')
  await using session = await openSession(options)
  const { client, namespace } = session
  await client.get(sandboxTemplates, template, { namespace }).catch((error: unknown) => {
    if (!isNotFound(error)) throw error
    throw new CliError(
      'not-found',
      `no template ${template} in namespace ${namespace}: 'caisson template ls' lists them, 'caisson template create' makes one`,
    )
  })
  const spec: SandboxWarmPool['spec'] = {
    sandboxTemplateRef: { name: template },
    ...(replicas !== undefined && { replicas }),
    ...(minReplicas !== undefined && { minReplicas }),
    ...(maxReplicas !== undefined && { maxReplicas }),
    ...(idle !== undefined && { idleTimeoutSeconds: idle }),
  }
  try {
    const pool = await client.create(sandboxWarmPools, { metadata: { name }, spec }, { namespace })
    await printMade(POOLS, pool, output)
  } catch (error) {
    if (!isAlreadyExists(error)) throw error
    throw new CliError('failed', `there is a pool ${name} already: 'caisson pool scale ${name} N' changes its size`)
  }
}

export async function poolScale({ name, replicas, ...options }: PoolScaleOptions): Promise<void> {
  const wanted = count('REPLICAS', replicas)
  await using session = await openSession(options)
  const { client, namespace } = session
  try {
    const { spec } = await client.get(sandboxWarmPools, name, { namespace })
    if (spec.minReplicas !== undefined || spec.maxReplicas !== undefined)
      throw new CliError(
        'usage',
        `pool ${name} follows demand between minReplicas and maxReplicas: change these with kubectl edit sandboxwarmpool ${name}`,
      )
    await client.patch(sandboxWarmPools, name, { spec: { replicas: wanted } }, { namespace })
  } catch (error) {
    if (!isNotFound(error)) throw error
    throw new CliError('not-found', `no pool ${name} in namespace ${namespace}: 'caisson pool ls' lists them`)
  }
}

/** Of Kubernetes' 32-bit numbers. */
const MOST = 2_147_483_647

function count(option: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  const number = Number(text)
  if (/^\d{1,10}$/.test(text) && number <= MOST) return number
  throw new CliError('usage', `${option} takes a number from 0 on, not ${JSON.stringify(text)}`)
}
