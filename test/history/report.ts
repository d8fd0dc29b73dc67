/** A campaign in figures, a violation in words. */
import type { Campaign } from './campaign.ts'
import { checkHistory } from './check.ts'
import type { Violation } from './history.ts'

export function figuresOf({ history, hits }: Campaign): Record<string, number> {
  const { operations, listings, watchings, restarts } = history
  return {
    operations: operations.length,
    unanswered: operations.filter(({ outcome }) => outcome.kind === 'unknown').length,
    lists: listings.length,
    watches: watchings.length,
    events: watchings.reduce((sum, { entries }) => sum + entries.length, 0),
    restarts: restarts.length,
    faults: [...hits.values()].reduce((sum, count) => sum + count, 0),
  }
}

/** What is wrong with a campaign, the shortest evidence first; empty where nothing is. */
export function complaintsOf({ history, unexpected }: Campaign): string[] {
  const violations = checkHistory(history).sort((a, b) => a.evidence.length - b.evidence.length)
  return [...violations.map(describeViolation), ...unexpected.map((what) => `no law has a place for: ${what}`)]
}

function describeViolation({ law, message, evidence }: Violation): string {
  return `${law}: ${message}\n${evidence.map((line) => `    ${line}`).join('\n')}`
}
