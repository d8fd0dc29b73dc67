import type { Writable } from 'node:stream'

/** Copies a log as fast as its reader takes it. The output stays open. */
export async function copyLog(log: AsyncIterable<Uint8Array>, output: Writable): Promise<void> {
  for await (const chunk of log) {
    if (!output.write(chunk)) await new Promise((resolve) => output.once('drain', resolve))
  }
}
