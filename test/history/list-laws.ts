/** What a list must show: the state at one revision, in however many pages. */
import { type ChangeLog, stateAt } from './change-log.ts'
import {
  describeSeen,
  describeSelection,
  type History,
  type Law,
  type Listing,
  type Seen,
  selected,
  type Violation,
} from './history.ts'
import { sameContent } from './object-model.ts'
import { mayHaveExpired } from './window-law.ts'

/** The first law that the list breaks; undefined where it keeps all. */
export function checkListing(
  listing: Listing,
  { log, history }: { log: ChangeLog; history: History },
): Violation | undefined {
  const { pages, asked, began, ended, outcome, resource } = listing
  const [first] = pages
  if (outcome === 'expired') {
    const revision = first?.revision ?? asked.exact
    if (revision === undefined) return violation(listing, 'kept', 'the newest state has expired')
    if (mayHaveExpired({ resource, revision, at: ended }, { log, history })) return undefined
    return violation(listing, 'kept', `revision ${revision} has expired, and what came after it is within the window`)
  }
  if (!first) return undefined
  const { revision } = first
  const other = pages.find((page) => page.revision !== revision)
  if (other) return violation(listing, 'list', `its pages are of revisions ${revision} and ${other.revision}`)
  if (asked.exact !== undefined) {
    if (asked.exact !== revision) return violation(listing, 'list', `${asked.exact} was asked for, ${revision} came`)
  } else {
    const floor = log.timeline.floor(began)
    if (revision < floor)
      return violation(listing, 'fresh', `it is of ${revision}, and ${floor} had been shown before it was asked for`)
  }
  const ceiling = log.timeline.ceiling(first.ended)
  if (revision > ceiling)
    return violation(listing, 'rising', `it is of ${revision}, and ${ceiling + 1} was asked for only later`)
  return judgeContents(listing, log, revision)
}

function judgeContents(listing: Listing, log: ChangeLog, revision: number): Violation | undefined {
  const { resource, selection, pages, asked, after, outcome } = listing
  const shown = pages.flatMap(({ objects }) => objects)
  const tooLong = pages.find(({ objects }) => asked.limit > 0 && objects.length > asked.limit)
  if (tooLong)
    return violation(listing, 'list', `a page has ${tooLong.objects.length} objects, ${asked.limit} were asked for`)
  const unordered = shown.findIndex(({ key }, index) => index > 0 && key <= (shown[index - 1] as Seen).key)
  if (unordered > 0)
    return violation(listing, 'list', `${shown[unordered]?.key} comes after ${shown[unordered - 1]?.key}`)
  // Of a list that broke off, only what comes before where it did can be missed.
  const last = outcome === 'complete' ? undefined : (shown.at(-1)?.key ?? '')
  const expected = new Map<string, Seen>()
  for (const [key, object] of stateAt(log, resource, revision))
    if (selected(selection, key, object.content) && (last === undefined || key <= last) && !(after && key <= after))
      expected.set(key, object)
  for (const object of shown) {
    const wanted = expected.get(object.key)
    expected.delete(object.key)
    if (
      wanted &&
      wanted.revision === object.revision &&
      wanted.uid === object.uid &&
      sameContent(wanted.content, object.content)
    )
      continue
    return violation(
      listing,
      'list',
      `at ${revision} it shows ${describeSeen(object)}, and there was ${wanted ? describeSeen(wanted) : 'no such object'}`,
    )
  }
  for (const object of expected.values())
    if (!log.isCloudy(object.key, revision))
      return violation(listing, 'list', `at ${revision} it does not show ${describeSeen(object)}`)
  return undefined
}

function violation(listing: Listing, law: Law, message: string): Violation {
  const { client, resource, selection, asked, began, ended, pages } = listing
  return {
    law,
    message: `${client} listed ${describeSelection(resource, selection)}, ${began.toFixed(1)}-${ended.toFixed(1)}: ${message}`,
    evidence: [
      `asked: ${JSON.stringify(asked)}`,
      ...pages.map(
        (page) =>
          `${page.began.toFixed(1)}-${page.ended.toFixed(1)} at ${page.revision}: ${page.objects.map(({ key, revision }) => `${key}@${revision}`).join(' ')}`,
      ),
    ],
  }
}
