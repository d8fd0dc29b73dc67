/** Does what nobody waits for and nothing depends on: where it throws, the log says so. */
export function tellFailure(work: () => void): void {
  try {
    work()
  } catch (error) {
    console.error(error)
  }
}
