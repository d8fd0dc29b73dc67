/**
 * Probes with a positive control: that something was refused says nothing unless the very same probe gets it where it is
 * allowed. A probe whose control is dead is inconclusive, and fails the run with that word.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Cluster, type Outcome, run } from '../e2e/fixture.ts'

export class InconclusiveError extends Error {
  override readonly name = 'InconclusiveError'
}

export interface Verdict {
  probe: string
  /** Whether it got what it wants where it may. */
  control: boolean
  /** Whether it got that where it must not. */
  attack: boolean
}

/** Throws unless the control got through and the attack did not. */
export function expectRefused({ probe, control, attack }: Verdict): void {
  if (!control)
    throw new InconclusiveError(`inconclusive: ${probe} got nothing where it is allowed, so nothing is shown`)
  if (attack) throw new Error(`breached: ${probe} got what it must not get`)
}

/** Runs a Python program with arguments somewhere; what it printed, as JSON. Throws where it does not print JSON. */
export type Place = (program: string, ...args: string[]) => Promise<unknown>

export const PYTHON = '/usr/bin/python3'

/** One of the programs beside this file. */
export function program(name: 'canary' | 'hunt' | 'kernel'): string {
  return readFileSync(join(import.meta.dirname, 'probes', `${name}.py`), 'utf8')
}

export const onMachine: Place = async (source, ...args) => parse(await run(PYTHON, ['-c', source, ...args]))

export function inPod(cluster: Cluster, namespace: string, pod: string, container = 'main'): Place {
  const exec = ['-n', namespace, 'exec', pod, '-c', container, '--', PYTHON, '-c']
  return async (source, ...args) => parse(await cluster.kubectl([...exec, source, ...args]))
}

function parse({ code, stdout, stderr }: Outcome): unknown {
  const line = stdout.trim().split('\n').at(-1) ?? ''
  try {
    return JSON.parse(line)
  } catch (cause) {
    throw new InconclusiveError(`inconclusive: the probe ended with ${code} and ${stdout}${stderr}`, { cause })
  }
}
