/**
 * Conditions of a Sandbox. Types, reasons and messages are agent-sandbox's to the letter: clients and its own tests
 * compare them.
 */

import { IDLE } from './idle.ts'

export const SANDBOX_CONDITIONS = {
  ready: 'Ready',
  suspended: 'Suspended',
  podScheduled: 'PodScheduled',
  finished: 'Finished',
  /** Ours: a container cannot start, or has failed. There only while that is so. */
  containerError: 'caisson.dev/ContainerError',
  /** Ours, where `idleSuspension` is asked for: whether nothing happens, and when it will be suspended. */
  idle: IDLE.condition,
} as const

export const SANDBOX_REASONS = {
  /** Ready=True. */
  dependenciesReady: 'DependenciesReady',
  dependenciesNotReady: 'DependenciesNotReady',
  multiplePods: 'MultiplePods',
  /** Ours, of Ready: what the Sandbox is to be made from is not there, or not yet. */
  snapshotNotReady: 'SnapshotNotReady',
  suspended: 'SandboxSuspended',
  expired: 'SandboxExpired',
  reconcilerError: 'ReconcilerError',
  /** The API server refused a Pod, Service or claim for good: only an edit of the Sandbox helps. */
  invalidConfiguration: 'InvalidConfiguration',
  /** Of Ready and of Finished. */
  podSucceeded: 'PodSucceeded',
  podFailed: 'PodFailed',
  /** Of Suspended: True. */
  podTerminated: 'PodTerminated',
  /** Of Suspended while it suspends, and of Ready while the Pod goes for another reason. */
  podTerminating: 'PodTerminating',
  podNotOwned: 'PodNotOwned',
  /** Ours, of Suspended where memory is kept: it is being written, or could not be. The first also of Ready. */
  keepingMemory: 'KeepingMemory',
  memoryNotKept: 'MemoryNotKept',
  notSuspended: 'NotSuspended',
  podStateUnknown: 'PodStateUnknown',
  /** Of PodScheduled, where the Pod's own condition has no reason. */
  podScheduled: 'PodScheduled',
  podSchedulingUnknown: 'PodSchedulingUnknown',
  /** Of ContainerError, where the kubelet gives no reason that a condition may carry. */
  containerError: 'ContainerError',
} as const

export const SANDBOX_MESSAGES = {
  podDoesNotExist: 'Pod does not exist',
  podExistsWithPhase: 'Pod exists with phase: ',
  podRunningNotReady: 'Pod is Running but not Ready',
  podReadyWithoutIps: 'Pod is Ready but has no podIPs yet',
  podReady: 'Pod is Ready',
  podTerminating: 'Pod is terminating',
  serviceExists: '; Service Exists',
  serviceDoesNotExist: '; Service does not exist',
  errorSeen: 'Error seen: ',
  suspended: 'Sandbox is suspended',
  suspending: 'Sandbox is suspending',
  expired: 'Sandbox has expired',
  podSucceeded: 'Pod completed successfully',
  podFailed: 'Pod failed',
  activityUnknown: 'The node of the Pod has not said whether anything happens in it',
  suspendedForIdleness:
    'Sandbox was suspended because nothing happened in it. An exec, attach or port-forward wakes it',
  notSuspended: 'Sandbox is not suspended',
  podTerminated: 'Pod has been terminated. Sandbox is suspended',
  podTerminatingForSuspend: 'Pod is terminating. Sandbox is suspending',
  keepingMemory: 'The memory of the Pod is being kept. Sandbox is suspending',
  memoryBeingKept: 'The memory of the Pod is being kept, from which the Sandbox then goes on',
  podNotOwned: 'Refused to delete pod because it is not owned by this sandbox',
  podStateUnknown: 'Pod state is unknown. Sandbox suspension cannot be confirmed',
  schedulingUnknown: 'Pod state is unknown. Pod scheduling cannot be determined',
  schedulingNotReported: 'Pod has not reported a PodScheduled condition yet',
} as const

/** Reasons of Events about a Sandbox. */
export const SANDBOX_EVENTS = {
  podCreated: 'SandboxPodCreated',
  podCreateFailed: 'SandboxPodCreateFailed',
  ready: 'SandboxReady',
  suspended: 'SandboxSuspended',
  expired: 'SandboxExpired',
  podSucceeded: 'PodSucceeded',
  podFailed: 'PodFailed',
  multiplePods: 'MultiplePods',
} as const
