import type { PodObject } from '@caisson/client'
import { CliError } from './cli-error.ts'

/** How OCI runtimes say that a command cannot be executed, at the end of where in themselves they found out. */
const REFUSALS = [
  // gVisor, by path and by name.
  /failed to load (?<program>\S+): (?<reason>[^:]+)$/,
  /error finding executable "(?<program>[^"]*)" in PATH \[.*\]: (?<reason>[^:]+)$/,
  // runc and crun.
  /exec: "(?<program>[^"]*)": (?:stat [^:]+: )?(?<reason>[^:]+?)(?:: unknown)?$/,
  /executable file `(?<program>[^`]*)` (?<reason>not found)/,
]

/** What to tell whoever asked for a command that could not be started; undefined where the message is of something else. */
export function startFailure(message: string, image: string): CliError | undefined {
  for (const pattern of REFUSALS) {
    const { program, reason = '' } = pattern.exec(message.trim())?.groups ?? {}
    if (program === undefined) continue
    if (program === '') return new CliError('usage', 'the command is an empty text: name one that is in the image')
    return new CliError(
      'not-found',
      /no such file|not found/.test(reason)
        ? `${program} is not in the image ${image}, or its interpreter is not: name a command that is there, or another image`
        : `${program} cannot be executed in the image ${image} (${reason}): name an executable file`,
    )
  }
  return undefined
}

/** Why the first container of a Pod will not start, where that is so. */
export function waitingFailure({ spec, status }: PodObject): CliError | undefined {
  const state = status?.containerStatuses?.[0]?.state
  const image = spec?.containers[0]?.image ?? ''
  const unschedulable = status?.conditions?.find(
    (condition) => condition.type === 'PodScheduled' && condition.status === 'False',
  )
  if (unschedulable)
    return new CliError(
      'unavailable',
      takenPort(spec, unschedulable.message) ?? `no node takes the sandbox: ${unschedulable.message}`,
    )
  if (state?.terminated && isStartFailure(state.terminated)) {
    const message = state.terminated.message ?? ''
    return startFailure(message, image) ?? new CliError('not-found', `the command could not be started: ${message}`)
  }
  const { reason, message } = state?.waiting ?? {}
  if (reason === undefined || ['ContainerCreating', 'PodInitializing'].includes(reason)) return undefined
  if (reason === 'ErrImageNeverPull')
    return new CliError(
      'not-found',
      `image ${image} is not in the local store: 'caisson image pull ${image}' fetches it`,
    )
  return new CliError('unavailable', `the sandbox cannot start: ${message || reason}`)
}

/** The scheduler does not say which port it is that another sandbox has. */
function takenPort(spec: PodObject['spec'], message = ''): string | undefined {
  if (!message.includes("didn't have free ports")) return undefined
  const ports = (spec?.containers ?? []).flatMap(({ ports: own = [] }) => own.filter(({ hostPort }) => hostPort))
  const names = ports.map(({ hostIP, hostPort }) => `port ${hostPort} of ${hostIP ?? '0.0.0.0'}`)
  return names.length === 1
    ? `${names[0]} is in use by another sandbox: publish another one`
    : `another sandbox has one of these: ${names.join(', ')}: publish others`
}

/** Whether what ended never began. */
export function isStartFailure({ reason }: { reason?: string }): boolean {
  return reason === 'StartError' || reason === 'ContainerCannotRun'
}
