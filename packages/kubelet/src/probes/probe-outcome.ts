/** What one attempt of a probe came to. */
export interface ProbeOutcome {
  /** `warning` counts as a success; an `error` says nothing of the container and changes nothing. */
  verdict: 'success' | 'warning' | 'failure' | 'error'
  message: string
}

/** Of what a container sends, this much is read (bytes). The rest is dropped, and the connection with it. */
export const ANSWER_BYTES = 10 * 1024

export function success(message = ''): ProbeOutcome {
  return { verdict: 'success', message }
}

export function failure(message: string): ProbeOutcome {
  return { verdict: 'failure', message }
}

/** A duration of whole seconds in Go's words, which kubelet's messages have. */
export function seconds(ms: number): string {
  return `${Math.round(ms / 1000)}s`
}
