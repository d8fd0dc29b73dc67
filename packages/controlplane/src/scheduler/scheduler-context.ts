import type { Client, Informers, PodObject } from '@caisson/client'
import type { NodeLoads } from './node-loads.ts'

export interface SchedulerContext {
  client: Client
  informers: Informers
  loads: NodeLoads
  /** Records an event about a Pod. */
  record(pod: PodObject, event: { type: 'Normal' | 'Warning'; reason: string; message: string }): void
  now(): number
  signal: AbortSignal
}
