import type { Socket } from 'node:net'

/** Carries bytes both ways until both ends have closed, or one is broken. Both are in `open` while they are. */
export function carryBytes(one: Socket, other: Socket, open: Set<Socket>): void {
  for (const [from, to] of [
    [one, other],
    [other, one],
  ] as const) {
    open.add(from)
    from.pipe(to)
    from.on('error', () => from.destroy())
    from.on('close', () => {
      open.delete(from)
      to.destroy()
    })
  }
}
