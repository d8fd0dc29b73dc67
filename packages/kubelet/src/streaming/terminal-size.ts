import type { Readable } from 'node:stream'
import type { TerminalSize } from '@caisson/runtime'

/** One size takes some thirty bytes; more than this without a closing brace is no size. */
const MAX_PENDING = 1024

/**
 * Calls `onSize` for each `{"Width":80,"Height":24}` on the stream, which may arrive in any pieces. What is not a size
 * ends the reading of sizes, and nothing else, as in Kubernetes.
 */
export function readTerminalSizes(stream: Readable, onSize: (size: TerminalSize) => void): void {
  let pending = ''
  stream.on('error', () => {})
  stream.on('data', (chunk: Buffer) => {
    pending += chunk.toString('latin1')
    for (let end = pending.indexOf('}'); end >= 0; end = pending.indexOf('}')) {
      const size = parseSize(pending.slice(0, end + 1))
      pending = pending.slice(end + 1)
      if (!size) return ignore()
      onSize(size)
    }
    if (pending.length > MAX_PENDING) ignore()
  })

  function ignore(): void {
    pending = ''
    stream.removeAllListeners('data')
    stream.resume()
  }
}

function parseSize(text: string): TerminalSize | undefined {
  try {
    const { Width, Height } = JSON.parse(text) as { Width?: unknown; Height?: unknown }
    if (!isDimension(Width) || !isDimension(Height)) return undefined
    return { columns: Width, rows: Height }
  } catch {
    return undefined
  }
}

/** The kernel keeps sixteen bits. */
function isDimension(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) >= 0 && (value as number) <= 0xffff
}
