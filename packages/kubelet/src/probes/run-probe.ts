import type { Probe } from 'kubernetes-types/core/v1.d.ts'
import { probeExec } from './probe-exec.ts'
import { probeGrpc } from './probe-grpc.ts'
import { probeHttp } from './probe-http.ts'
import type { ProbeOutcome } from './probe-outcome.ts'
import type { ProbeTarget } from './probe-target.ts'
import { probeTcp } from './probe-tcp.ts'

/** kubelet's: what could not be asked is asked again at once, this often. */
const ATTEMPTS = 3

/** Asks the container once, within the probe's own timeout. Never rejects. */
export async function runProbe(target: ProbeTarget, probe: Probe): Promise<ProbeOutcome> {
  let message = ''
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    try {
      return await ask(target, probe)
    } catch (error) {
      ;({ message } = error as Error)
    }
  }
  return { verdict: 'error', message }
}

async function ask(target: ProbeTarget, probe: Probe): Promise<ProbeOutcome> {
  const timeoutMs = (probe.timeoutSeconds ?? 1) * 1000
  if (probe.exec) return await probeExec(target, probe.exec.command ?? [], timeoutMs)
  if (probe.httpGet) return await probeHttp(target, probe.httpGet, timeoutMs)
  if (probe.tcpSocket) return await probeTcp(target, probe.tcpSocket, timeoutMs)
  if (probe.grpc) return await probeGrpc(target, probe.grpc, timeoutMs)
  throw new Error('the probe names nothing to ask')
}
