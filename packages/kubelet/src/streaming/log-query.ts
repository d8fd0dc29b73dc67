/** The query of a log request, as kubelet and `PodLogOptions` name its fields. */

export interface LogQuery {
  follow: boolean
  previous: boolean
  timestamps: boolean
  /** Only what was written at or after this moment, ms since the epoch. */
  since: number | undefined
  /** Of the newest log file. */
  tailLines: number | undefined
  /** At most this many bytes are sent. */
  limitBytes: number | undefined
  stream: 'All' | 'Stdout' | 'Stderr'
}

/**
 * Reads and checks the query; a string says what is wrong with it.
 *
 * @param now ms since the epoch, from which `sinceSeconds` counts
 */
export function parseLogQuery(query: URLSearchParams, now: number): LogQuery | string {
  const tail = query.get('tail')
  const tailLines = integer(tail && tail !== 'all' ? tail : query.get('tailLines'), 0)
  if (tailLines === 'invalid') return 'tailLines must be a whole number, 0 or more'
  const limitBytes = integer(query.get('limitBytes'), 1)
  if (limitBytes === 'invalid') return 'limitBytes must be a whole number greater than 0'
  const sinceSeconds = integer(query.get('sinceSeconds'), 1)
  if (sinceSeconds === 'invalid') return 'sinceSeconds must be a whole number greater than 0'
  const sinceTime = query.get('sinceTime')
  if (sinceTime && sinceSeconds !== undefined) return 'at most one of `sinceTime` or `sinceSeconds` may be specified'
  const since = sinceTime ? Date.parse(sinceTime) : sinceSeconds === undefined ? undefined : now - sinceSeconds * 1000
  if (since !== undefined && Number.isNaN(since)) return 'sinceTime must be a time as RFC 3339 writes it'
  const stream = query.get('stream') || 'All'
  if (stream !== 'All' && stream !== 'Stdout' && stream !== 'Stderr') return 'stream must be All, Stdout or Stderr'
  if (stream !== 'All' && tailLines !== undefined) {
    return '`tailLines` and specific `stream` are mutually exclusive for now'
  }
  return {
    follow: flag(query.get('follow')),
    previous: flag(query.get('previous')),
    timestamps: flag(query.get('timestamps')),
    since,
    tailLines,
    limitBytes,
    stream,
  }
}

/** As Kubernetes decodes a boolean from a query: present means true, unless it says otherwise. */
export function flag(value: string | null): boolean {
  return value !== null && value !== '0' && value.toLowerCase() !== 'false'
}

function integer(value: string | null, least: number): number | undefined | 'invalid' {
  if (value === null || value === '') return undefined
  if (!/^\d{1,15}$/.test(value)) return 'invalid'
  const number = Number(value)
  return number >= least ? number : 'invalid'
}
