import type { TCPSocketAction } from 'kubernetes-types/core/v1.d.ts'
import { failure, type ProbeOutcome, success } from './probe-outcome.ts'
import { deadline, dial, dialFailure, type ProbeTarget, portNumber, refuseOtherHost } from './probe-target.ts'

export async function probeTcp(target: ProbeTarget, action: TCPSocketAction, timeoutMs: number): Promise<ProbeOutcome> {
  refuseOtherHost(target, action.host)
  const port = portNumber(target, action.port)
  try {
    const connection = await dial(target, port, deadline(target, timeoutMs))
    connection.destroy()
    return success()
  } catch (error) {
    return failure(dialFailure(target, port, error))
  }
}
