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
    return new CliError(
      'not-found',
      /no such file|not found/.test(reason)
        ? `${program} is not in the image ${image}, or its interpreter is not: name a command that is there, or another image`
        : `${program} cannot be executed in the image ${image} (${reason}): name an executable file`,
    )
  }
  return undefined
}
