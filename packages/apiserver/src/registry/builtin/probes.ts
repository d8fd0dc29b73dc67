/** Probes and lifecycle hooks: exactly one handler each, and numbers that make sense. */
import type { Container, HTTPGetAction, Lifecycle, Probe } from 'kubernetes-types/core/v1.js'
import type { FieldError } from '../../status-error.ts'
import { forbidden, invalidValue, notSupported, required } from '../field-error.ts'
import { httpHeaderName, portName, portNumber } from '../names.ts'

/** Probes and hooks of a container that may have them. */
export function validateProbesAndHooks(
  container: Container,
  gracePeriod: number | undefined,
  path: string,
  errors: FieldError[],
): void {
  const { lifecycle, livenessProbe, readinessProbe, startupProbe } = container
  if (lifecycle) validateLifecycle(lifecycle, gracePeriod, `${path}.lifecycle`, errors)
  if (livenessProbe) {
    validateProbe(livenessProbe, gracePeriod, `${path}.livenessProbe`, errors)
    mustSucceedOnce(livenessProbe, `${path}.livenessProbe`, errors)
  }
  if (readinessProbe) {
    validateProbe(readinessProbe, gracePeriod, `${path}.readinessProbe`, errors)
    const seconds = readinessProbe.terminationGracePeriodSeconds
    if (seconds !== undefined) {
      const at = `${path}.readinessProbe.terminationGracePeriodSeconds`
      errors.push(invalidValue(at, seconds, 'must not be set for readinessProbes'))
    }
  }
  if (startupProbe) {
    validateProbe(startupProbe, gracePeriod, `${path}.startupProbe`, errors)
    mustSucceedOnce(startupProbe, `${path}.startupProbe`, errors)
  }
}

function mustSucceedOnce(probe: Probe, path: string, errors: FieldError[]): void {
  const threshold = probe.successThreshold ?? 0
  if (threshold !== 1) errors.push(invalidValue(`${path}.successThreshold`, threshold, 'must be 1'))
}

const COUNTS = [
  'initialDelaySeconds',
  'timeoutSeconds',
  'periodSeconds',
  'successThreshold',
  'failureThreshold',
] as const

function validateProbe(probe: Probe, gracePeriod: number | undefined, path: string, errors: FieldError[]): void {
  validateHandler(probe, gracePeriod, path, errors)
  for (const field of COUNTS) {
    const count = probe[field] ?? 0
    if (count < 0) errors.push(invalidValue(`${path}.${field}`, count, 'must be greater than or equal to 0'))
  }
  const seconds = probe.terminationGracePeriodSeconds
  if (seconds !== undefined && seconds <= 0) {
    errors.push(invalidValue(`${path}.terminationGracePeriodSeconds`, seconds, 'must be greater than 0'))
  }
}

function validateLifecycle(
  lifecycle: Lifecycle & { stopSignal?: string },
  gracePeriod: number | undefined,
  path: string,
  errors: FieldError[],
): void {
  if (lifecycle.postStart) validateHandler(lifecycle.postStart, gracePeriod, `${path}.postStart`, errors)
  if (lifecycle.preStop) validateHandler(lifecycle.preStop, gracePeriod, `${path}.preStop`, errors)
}

interface Handler {
  exec?: { command?: string[] }
  httpGet?: HTTPGetAction
  tcpSocket?: { port: number | string }
  grpc?: { port: number }
  sleep?: { seconds: number }
}

const HANDLERS = ['exec', 'httpGet', 'tcpSocket', 'grpc', 'sleep'] as const

function validateHandler(handler: Handler, gracePeriod: number | undefined, path: string, errors: FieldError[]): void {
  const [first, ...others] = HANDLERS.filter((name) => handler[name])
  if (!first) {
    errors.push(required(path, 'must specify a handler type'))
    return
  }
  for (const name of others) errors.push(forbidden(`${path}.${name}`, 'may not specify more than 1 handler type'))
  const at = `${path}.${first}`
  switch (first) {
    case 'exec':
      if (!handler.exec?.command?.length) errors.push(required(`${at}.command`))
      return
    case 'httpGet':
      validateHttpGet(handler.httpGet as HTTPGetAction, at, errors)
      return
    case 'tcpSocket':
      validatePort(handler.tcpSocket?.port ?? 0, `${at}.port`, errors)
      return
    case 'grpc':
      validatePort(handler.grpc?.port ?? 0, `${at}.port`, errors)
      return
    case 'sleep': {
      const seconds = handler.sleep?.seconds ?? 0
      if (gracePeriod !== undefined && (seconds < 0 || seconds > gracePeriod)) {
        const said = `must be non-negative and less than terminationGracePeriodSeconds (${gracePeriod})`
        errors.push(invalidValue(at, seconds, said))
      }
    }
  }
}

function validateHttpGet(action: HTTPGetAction, path: string, errors: FieldError[]): void {
  if (!action.path) errors.push(required(`${path}.path`))
  validatePort(action.port, `${path}.port`, errors)
  if (action.scheme !== 'HTTP' && action.scheme !== 'HTTPS') {
    errors.push(notSupported(`${path}.scheme`, action.scheme ?? '', ['HTTP', 'HTTPS']))
  }
  for (const { name } of action.httpHeaders ?? []) {
    for (const said of httpHeaderName(name)) errors.push(invalidValue(`${path}.httpHeaders`, name, said))
  }
}

/** A number, or the name of one of the container's ports. */
export function validatePort(port: number | string, path: string, errors: FieldError[]): void {
  for (const said of typeof port === 'number' ? portNumber(port) : portName(port)) {
    errors.push(invalidValue(path, port, said))
  }
}
