/**
 * With CAISSON_TIMINGS set, says on standard error when something happened, in ms since the epoch: what the benches tell
 * the command line's own part from the cluster's by.
 */
export function noteTime(what: string): void {
  if (process.env['CAISSON_TIMINGS'])
    console.error(`caisson: ${what} at ${(performance.timeOrigin + performance.now()).toFixed(2)}`)
}
