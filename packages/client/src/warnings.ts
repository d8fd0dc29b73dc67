const LIMIT = 100

/** The texts of Warning headers (RFC 7234): `299 - "text"`, several of them joined by commas. Others are left out. */
export function decodeWarnings(header: string | string[] | undefined): readonly string[] {
  if (header === undefined) return []
  const text = typeof header === 'string' ? header : header.join(', ')
  const warnings: string[] = []
  for (const match of text.matchAll(/(?:^|, *)299 [^ "]+ "((?:[^"\\]|\\.)*)"/g)) {
    if (warnings.length === LIMIT) break
    // Headers arrive as latin1, whatever was written into them.
    warnings.push(Buffer.from((match[1] ?? '').replace(/\\(.)/g, '$1'), 'latin1').toString('utf8'))
  }
  return warnings
}
