/** Checks a history against all laws. */
import { type ChangeLog, createChangeLog } from './change-log.ts'
import { describeOperation, describeSeen, type History, type Operation, type Violation } from './history.ts'
import { type Call, firstImpossible } from './linearizability.ts'
import { checkListing } from './list-laws.ts'
import { ABSENT, callOf, type ObjectState } from './object-model.ts'
import { checkWatch } from './watch-laws.ts'

/** Every law that does not hold; of each list, watch and object the first. */
export function checkHistory(history: History): Violation[] {
  const log = createChangeLog(history)
  const found = [...log.violations, ...risingViolations(history, log), ...refusedViolations(history, log)]
  for (const operations of byKey(history.operations).values()) {
    const violation = linearizabilityViolation(operations, log, history)
    if (violation) found.push(violation)
  }
  for (const listing of history.listings) {
    const violation = checkListing(listing, { log, history })
    if (violation) found.push(violation)
  }
  for (const watching of history.watchings) {
    const violation = checkWatch(watching, { log, history })
    if (violation) found.push(violation)
  }
  return found
}

function byKey(operations: readonly Operation[]): Map<string, Operation[]> {
  const keys = new Map<string, Operation[]>()
  for (const operation of operations) {
    const { key } = operation.request
    if (!keys.has(key)) keys.set(key, [])
    keys.get(key)?.push(operation)
  }
  return keys
}

/** What is asked for after something was shown has a higher revision than that. */
function risingViolations({ operations }: History, log: ChangeLog): Violation[] {
  const deletions = new Map<string, number>()
  for (const changes of log.changes.values())
    for (const { uid, object, revision } of changes)
      if (!object && Number.isInteger(revision)) deletions.set(uid, revision)
  return operations.flatMap((operation): Violation[] => {
    const { outcome, began, request } = operation
    if (request.verb === 'get') return []
    const revision =
      outcome.kind === 'seen'
        ? outcome.object.revision
        : outcome.kind === 'deleted'
          ? deletions.get(outcome.uid)
          : undefined
    const floor = log.timeline.floor(began)
    if (revision === undefined || revision > floor) return []
    return [
      {
        law: 'rising',
        message: `a write got revision ${revision}, and ${floor} had been shown before it was asked for`,
        evidence: [describeOperation(operation)],
      },
    ]
  })
}

function refusedViolations({ operations }: History, log: ChangeLog): Violation[] {
  return operations.flatMap((operation): Violation[] => {
    const { request, outcome } = operation
    if (!('content' in request) || outcome.kind === 'seen' || outcome.kind === 'unknown') return []
    const seen = log.resolved.get(request.content.value)
    if (!seen) return []
    return [
      {
        law: 'refused is refused',
        message: 'a write that was refused has happened',
        evidence: [describeOperation(operation), `${seen.at.toFixed(1)} ${describeSeen(seen.object)}`],
      },
    ]
  })
}

function linearizabilityViolation(
  operations: readonly Operation[],
  log: ChangeLog,
  history: History,
): Violation | undefined {
  const end = operations.reduce(
    (latest, { began, ended }) => Math.max(latest, Number.isFinite(ended) ? ended : began),
    0,
  )
  const lastMoment = ({ began }: Operation): number => history.restarts.find(({ at }) => at >= began)?.until ?? end
  const known: { operation: Operation; call: Call<ObjectState> }[] = []
  for (const operation of operations) {
    const call = callOf(operation, { resolved: log.resolved, lastMoment })
    if (call) known.push({ operation, call })
  }
  const failing = (some: typeof known) =>
    firstImpossible(
      some.map(({ call }) => call),
      ABSENT,
    )
  const index = failing(known)
  if (index === undefined) return undefined
  const culprit = known[index] as (typeof known)[number]
  return {
    law: 'linearizable',
    message: `no order of what happened to ${culprit.operation.request.key} explains the answer to ${describeOperation(culprit.operation)}`,
    evidence: shorten(
      known.filter(({ call }) => call.began <= culprit.call.ended),
      (some) => failing(some) !== undefined,
    ).map(({ operation }) => describeOperation(operation)),
  }
}

/** Without each operation that shows nothing by being there: what is left is impossible still. */
function shorten<T extends { operation: Operation }>(all: readonly T[], impossible: (some: T[]) => boolean): T[] {
  let some = [...all]
  // Leaving out a write would make the reads of it impossible by itself.
  for (const each of all) {
    const { request, outcome } = each.operation
    if (request.verb !== 'get' && outcome.kind !== 'refused') continue
    const without = some.filter((other) => other !== each)
    if (impossible(without)) some = without
  }
  // What the state was long before does not matter to those who look at the evidence.
  return some.slice(-12)
}
