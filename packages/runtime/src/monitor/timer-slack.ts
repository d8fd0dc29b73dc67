import { readdirSync, writeFileSync } from 'node:fs'

/** How late timers of a sentry's threads may be, ns: the kernel's own default, and where nothing runs in it. */
export const TIMER_SLACK = { awake: 50_000, calm: 50_000_000 } as const

export type TimerSlack = keyof typeof TIMER_SLACK

/** Says for every thread of a process how late its timers may be. One that has ended, or is somebody else's, is left alone. */
export function setTimerSlack(pid: number, slack: TimerSlack): void {
  const done = new Set<string>()
  // A thread inherits it from the one that makes it, so that one more may have come meanwhile.
  for (let pass = 0; pass < 3; pass++) {
    const left = threadsOf(pid).filter((thread) => !done.has(thread))
    if (left.length === 0) return
    for (const thread of left) {
      done.add(thread)
      try {
        writeFileSync(`/proc/${thread}/timerslack_ns`, String(TIMER_SLACK[slack]))
      } catch {
        // It has ended, or we have no right over it: then it wakes as often as ever.
      }
    }
  }
}

/** Ids of a process's threads; none where it has ended. */
export function threadsOf(pid: number | string): string[] {
  try {
    return readdirSync(`/proc/${pid}/task`)
  } catch {
    return []
  }
}
