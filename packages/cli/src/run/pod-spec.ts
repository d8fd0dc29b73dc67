/** What a user asks of `caisson run`, as the spec of the Pod that it becomes. */
import { statSync } from 'node:fs'
import { resolve } from 'node:path'
import { parseQuantity, type Sandbox } from '@caisson/api'
import { CliError } from '../cli-error.ts'
import type { RunCommandOptions } from './run-options.ts'

/** The name of the one container. */
export const CONTAINER = 'main'
const NOBODY = 65_534
/** Of user and group ids in Kubernetes. */
const MAX_ID = 2_147_483_647

const PULL_POLICIES = { missing: 'IfNotPresent', always: 'Always', never: 'Never' } as const

export type PodSpec = Sandbox['spec']['podTemplate']['spec']

/** @throws CliError naming the option that cannot be followed */
export function podSpec(options: RunCommandOptions): PodSpec {
  const user = parseUser(options.user)
  const volumes = options.volume.map(parseVolume)
  const ports = options.publish.map(parsePublish)
  requireDistinct(ports)
  return {
    restartPolicy: 'Never',
    automountServiceAccountToken: false,
    enableServiceLinks: false,
    terminationGracePeriodSeconds: 2,
    ...(options.runtimeClass !== undefined && { runtimeClassName: options.runtimeClass }),
    securityContext: { seccompProfile: { type: 'RuntimeDefault' } },
    containers: [
      {
        name: CONTAINER,
        image: options.image,
        imagePullPolicy: PULL_POLICIES[options.pull],
        ...(options.command.length > 0 && { command: options.command.map(literal) }),
        // For the one attach that comes: what the command writes before it is not lost.
        ...(!options.detach && { stdin: true, stdinOnce: true }),
        tty: options.tty ?? false,
        env: options.env.flatMap(parseEnv).map(({ name, value }) => ({ name, value: literal(value) })),
        ...(options.workdir !== undefined && { workingDir: parseWorkdir(options.workdir) }),
        resources: resourcesOf(options),
        ...(ports.length > 0 && { ports }),
        securityContext: {
          runAsUser: user.uid,
          runAsGroup: user.gid,
          runAsNonRoot: user.uid !== 0,
          allowPrivilegeEscalation: false,
          capabilities: { drop: ['ALL'] },
        },
        volumeMounts: volumes.map(({ mountPath, readOnly }, index) => ({
          name: `volume-${index}`,
          mountPath,
          readOnly,
        })),
      },
    ],
    volumes: volumes.map(({ path }, index) => ({ name: `volume-${index}`, hostPath: { path } })),
  }
}

/** What was written is what is meant: Kubernetes would put variables in the place of `$(NAME)`, and `$` in that of `$$`. */
function literal(text: string): string {
  return text.replaceAll('$', '$$$$')
}

/** Limits keep a sandbox from the machine. Nothing is set aside for it, so that as many fit as want to. */
function resourcesOf({
  cpu,
  memory,
  storage,
}: RunCommandOptions): NonNullable<PodSpec['containers'][number]['resources']> {
  const limits = {
    ...(cpu !== undefined && { cpu: quantity('--cpu', cpu, 'a number of processors such as 2 or 500m') }),
    ...(memory !== 'none' && { memory: size('--memory', memory, LEAST_MEMORY) }),
    ...(storage !== 'none' && { 'ephemeral-storage': size('--storage', storage, LEAST_STORAGE) }),
  }
  return { limits, requests: Object.fromEntries(Object.keys(limits).map((name) => [name, '0'])) }
}

interface Least {
  text: string
  /** What cannot be done with less. */
  why: string
}

/** Below it runc ends while it starts a program. What a sandbox's own kernel takes comes on top, as its RuntimeClass says. */
const LEAST_MEMORY: Least = { text: '4Mi', why: 'no program starts in less' }
/** Below it the logs alone are too much. */
const LEAST_STORAGE: Least = { text: '1Mi', why: 'a sandbox with less is evicted for its log' }
/** What control groups can count to, less one byte. */
const MOST = '8Ei'

function size(option: string, text: string, { text: least, why }: Least): string {
  const bytesOf = (quantityText: string): number => parseQuantity(quantityText) ?? Number.NaN
  const bytes = bytesOf(quantity(option, text, 'a size such as 512Mi or 4Gi, or none'))
  if (bytes >= bytesOf(MOST))
    throw new CliError('usage', `${option} takes less than ${MOST}, not ${JSON.stringify(text)}: none is no limit`)
  if (bytes >= bytesOf(least)) return text
  // Of who has written megabytes as other programs do, or no unit at all.
  const meant = `${Number.parseFloat(text)}Mi`
  const next = bytesOf(meant) >= bytesOf(least) ? `: write ${meant} for mebibytes` : ''
  throw new CliError(
    'usage',
    `${option} takes ${least} or more (${why}), not ${JSON.stringify(text)}, of ${bytes} bytes${next}`,
  )
}

/** The API server knows more of quantities; it would speak of fields that nobody wrote. */
function quantity(option: string, text: string, expected: string): string {
  if (/^(?:\d+\.?\d*|\.\d+)(?:m|[kMGTPE]|[KMGTPE]i)?$/.test(text) && Number.parseFloat(text) > 0) return text
  throw new CliError('usage', `${option} takes ${expected}, not ${JSON.stringify(text)}`)
}

function parseUser(text: string | undefined): { uid: number; gid: number } {
  if (text === undefined) return { uid: NOBODY, gid: NOBODY }
  const match = /^(\d+)(?::(\d+))?$/.exec(text)
  if (!match) throw new CliError('usage', `--user takes a number, or two as UID:GID, not ${JSON.stringify(text)}`)
  const uid = Number(match[1])
  const gid = match[2] === undefined ? uid : Number(match[2])
  if (uid > MAX_ID || gid > MAX_ID)
    throw new CliError('usage', `--user takes numbers up to ${MAX_ID}, not ${JSON.stringify(text)}`)
  return { uid, gid }
}

function parseWorkdir(text: string): string {
  if (text.startsWith('/')) return text
  throw new CliError('usage', `--workdir takes an absolute path in the sandbox, not ${JSON.stringify(text)}`)
}

/** As with docker run, a variable that this process does not have is not set there either. */
export function parseEnv(text: string): Array<{ name: string; value: string }> {
  const at = text.indexOf('=')
  if (at === 0 || text === '')
    throw new CliError('usage', `-e takes NAME=VALUE, or NAME for this process's own, not ${JSON.stringify(text)}`)
  if (at > 0) return [{ name: text.slice(0, at), value: text.slice(at + 1) }]
  const value = process.env[text]
  return value === undefined ? [] : [{ name: text, value }]
}

interface PublishedPort {
  containerPort: number
  hostPort: number
  hostIP: string
  protocol: string
}

function parsePublish(text: string): PublishedPort {
  const match = /^(?:(127\.\d+\.\d+\.\d+):)?(\d{1,5}):(\d{1,5})(?:\/(tcp|udp))?$/.exec(text)
  const [hostPort, containerPort] = [Number(match?.[2] ?? 0), Number(match?.[3] ?? 0)]
  if ([hostPort, containerPort].some((port) => port < 1 || port > 65_535))
    throw new CliError(
      'usage',
      `--publish takes HOST:PORT, ports of this machine's loopback and of the sandbox, such as 8080:80 or 5353:53/udp, not ${JSON.stringify(text)}`,
    )
  return { containerPort, hostPort, hostIP: match?.[1] ?? '127.0.0.1', protocol: (match?.[4] ?? 'tcp').toUpperCase() }
}

function requireDistinct(ports: readonly PublishedPort[]): void {
  const seen = new Set<string>()
  for (const { hostIP, hostPort, protocol } of ports) {
    const key = `${hostIP}:${hostPort}/${protocol.toLowerCase()}`
    if (seen.has(key)) throw new CliError('usage', `--publish names the port ${key} twice: a port leads to one place`)
    seen.add(key)
  }
}

function parseVolume(text: string): { path: string; mountPath: string; readOnly: boolean } {
  const [path, mountPath, mode, ...more] = text.split(':')
  if (
    !path ||
    !mountPath?.startsWith('/') ||
    more.length > 0 ||
    (mode !== undefined && mode !== 'ro' && mode !== 'rw')
  ) {
    throw new CliError('usage', `-v takes HOST:PATH or HOST:PATH:ro with an absolute PATH, not ${JSON.stringify(text)}`)
  }
  if (!statSync(path, { throwIfNoEntry: false }))
    throw new CliError('usage', `-v: ${resolve(path)} does not exist: make it first`)
  return { path: resolve(path), mountPath, readOnly: mode === 'ro' }
}
