import { isConditionTrue } from '@caisson/api'
import type { JobStatus } from 'kubernetes-types/batch/v1.d.ts'
import type { JobObject } from './job-pods.ts'

export function isFinished({ status }: JobObject): boolean {
  return isTrue(status, 'Complete') || isTrue(status, 'Failed')
}

export function isTrue(status: JobStatus | undefined, type: string): boolean {
  return isConditionTrue(status?.conditions as never, type)
}
