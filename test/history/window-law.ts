/** When the server may say that a revision has expired. */
import { type ChangeLog, changesAfter } from './change-log.ts'
import { type History, resourceOf } from './history.ts'

/**
 * Whether what happened after `revision` may have been forgotten by `at`: there were more changes since than the window
 * keeps, or the server was started anew, which keeps none.
 */
export function mayHaveExpired(
  { resource, revision, at }: { resource: string; revision: number; at: number },
  { log, history }: { log: ChangeLog; history: History },
): boolean {
  for (const restart of history.restarts)
    if (restart.at <= at && revision <= log.timeline.ceiling(restart.until)) return true
  const newest = log.timeline.ceiling(at)
  const since = changesAfter(log, resource, revision).filter((change) => change.revision <= newest)
  // What nobody was shown counts too.
  const unseen = history.operations.filter(
    ({ request, outcome }) =>
      resourceOf(request.key) === resource &&
      request.verb !== 'get' &&
      (outcome.kind === 'unknown' || outcome.kind === 'deleted') &&
      log.isCloudy(request.key, newest),
  )
  return since.length + unseen.length > history.window
}
