/**
 * A sentry on `systrap` wakes itself about a thousand times a second, also where nothing runs in it: gVisor looks every
 * 400 µs whether its short cuts between sentry and stubs pay (its pull request 13470 has it wait for something to do; the
 * builds that Debian has are older). That is 15 to 37 ms of processor time a second for each sandbox. The kernel lets each
 * thread say how late its timers may be, and a sentry in which nothing has run is told that 50 ms do: 1.5 ms a second.
 * What arrives from outside, packets, files and signals, is no timer, and as prompt as before.
 */
import { readFileSync } from 'node:fs'
import { isSameProcess, parentOf } from './process-identity.ts'
import { tellFailure } from './tell-failure.ts'
import { setTimerSlack, type TimerSlack, threadsOf } from './timer-slack.ts'
import type { SupervisedContainer } from './watch-container.ts'

export interface CalmSentries {
  /** Watches the container's sentry, if it is in one, until all containers in that have ended. */
  follow(container: SupervisedContainer): void
  /** Something is about to be asked of the sentry of the container with this directory, which does not wait for the next look. */
  rouse(directory: string): void
}

const LOOK_MS = 2_500
/** What runs more often than so many times between two looks is not still: its timers are nearer than some 300 ms. */
const FEW_RUNS = 8
/** Nor is what runs for longer: who computes and asks for nothing is given a processor once. */
const SHORT_NS = 10_000_000
/** What was announced takes its time, as long as this at least. */
const ROUSED_MS = 10_000
/** Who has more processes of this machine than that is not looked at one by one. */
const MOST_PROCESSES = 40

/** How often the stubs of a sentry have been given a processor, and for how long, ns. */
interface Work {
  runs: number
  nanoseconds: number
}

interface Followed {
  pid: number
  startTime: string
  /** File that lists the processes of its control group. */
  group: string
  /** Which of them, by their ids, are the sentry's: its stubs, in which what is in the sandbox runs. */
  stubs: Map<string, boolean>
  /** As of the last look. */
  work: Work | undefined
  /** Undefined where an earlier monitor may have said so. */
  slack: TimerSlack | undefined
  rousedAt: number
}

export function createCalmSentries(): CalmSentries {
  /** By the sentry's process. */
  const sentries = new Map<number, Followed>()
  /** Containers by their directories, several of them in one sentry where they share it. */
  const homes = new Map<string, number>()
  let timer: NodeJS.Timeout | undefined

  function look(): void {
    for (const followed of sentries.values()) tellFailure(() => lookAt(followed))
  }

  function lookAt(followed: Followed): void {
    const before = followed.work
    followed.work = workOfStubs(followed)
    const isStill = isHardlyMore(followed.work, before)
    const isRoused = performance.now() - followed.rousedAt < ROUSED_MS
    become(followed, isStill && !isRoused ? 'calm' : 'awake')
  }

  function become(followed: Followed, slack: TimerSlack): void {
    if (followed.slack === slack || !isSameProcess(followed.pid, followed.startTime)) return
    setTimerSlack(followed.pid, slack)
    followed.slack = slack
  }

  function forget(directory: string, { pid, startTime }: Pick<Followed, 'pid' | 'startTime'>): void {
    homes.delete(directory)
    const isOver = sentries.get(pid)?.startTime === startTime && ![...homes.values()].includes(pid)
    if (isOver) sentries.delete(pid)
    if (sentries.size > 0) return
    clearInterval(timer)
    timer = undefined
  }

  return {
    follow({ supervision: { joins, directory, end }, running: { pid, startTime }, exited }) {
      const [group] = joins
      if (group === undefined || end.kind === 'shim' || (end.kind === 'reaped' && !end.sentry)) return
      homes.set(directory, pid)
      // An id that was another sentry's before is this one's now.
      if (sentries.get(pid)?.startTime !== startTime)
        sentries.set(pid, { ...UNKNOWN, pid, startTime, group, stubs: new Map() })
      timer ??= setInterval(look, LOOK_MS).unref()
      void exited.finally(() => forget(directory, { pid, startTime }))
    },
    rouse(directory) {
      const followed = sentries.get(homes.get(directory) ?? 0)
      if (!followed) return
      followed.rousedAt = performance.now()
      become(followed, 'awake')
    },
  }
}

const UNKNOWN = { work: undefined, slack: undefined, rousedAt: Number.NEGATIVE_INFINITY } as const

/** One of them that has ended takes what it had done with it. */
function isHardlyMore(after: Work | undefined, before: Work | undefined): boolean {
  if (!after || !before) return false
  return Math.abs(after.runs - before.runs) <= FEW_RUNS && Math.abs(after.nanoseconds - before.nanoseconds) <= SHORT_NS
}

/** Undefined where it is not known. */
function workOfStubs({ pid, group, stubs }: Followed): Work | undefined {
  const processes = read(group).split('\n').filter(Boolean)
  if (processes.length === 0 || processes.length > MOST_PROCESSES) return undefined
  for (const known of stubs.keys()) if (!processes.includes(known)) stubs.delete(known)
  const work = { runs: 0, nanoseconds: 0 }
  for (const each of processes) {
    if (!isStub(each, { sentry: String(pid), stubs })) continue
    for (const thread of threadsOf(each)) {
      // Between the two stands how long it waited.
      const [nanoseconds, , runs] = read(`/proc/${each}/task/${thread}/schedstat`).split(' ')
      work.runs += Number(runs) || 0
      work.nanoseconds += Number(nanoseconds) || 0
    }
  }
  return work
}

/** Whether a process descends from the sentry. What serves it its files does not, and has many threads. */
function isStub(pid: string, { sentry, stubs }: { sentry: string; stubs: Map<string, boolean> }): boolean {
  if (pid === sentry) return false
  const known = stubs.get(pid)
  if (known !== undefined) return known
  const parent = parentOf(Number(pid))
  const found = parent === sentry || (Number(parent) > 1 && isStub(parent, { sentry, stubs }))
  stubs.set(pid, found)
  return found
}

/** Empty where there is none. */
function read(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
