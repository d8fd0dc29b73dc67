/** How gVisor begins what it writes to the command's own output where there is no command to write anything. */
const BEGINNING = Buffer.from('executing processes for container: ')
/** It names the command, whose arguments may be long. */
const LONGEST = 16_384

export interface RuntimeWords {
  /** What of an output is to be passed on now, chunk by chunk. */
  pass(chunk: Buffer): Buffer | undefined
  /** What was kept back after all and the failure does not say. Once, at the output's end. */
  rest(failure: string | undefined): Buffer | undefined
}

/** Keeps words of the runtime out of an output, which the failure says again. A command may write the same ones. */
export function withholdRuntimeWords(): RuntimeWords {
  let held: Buffer = Buffer.alloc(0)
  let passing = false
  return {
    pass(chunk) {
      if (passing) return chunk
      held = held.length === 0 ? chunk : Buffer.concat([held, chunk])
      // It comes in one piece: a single letter that is echoed is never kept.
      if (held.length <= LONGEST && held.subarray(0, BEGINNING.length).equals(BEGINNING)) return undefined
      passing = true
      return held
    },
    rest(failure) {
      if (passing || held.length === 0 || failure?.includes(held.toString('utf8').trim())) return undefined
      return held
    },
  }
}
