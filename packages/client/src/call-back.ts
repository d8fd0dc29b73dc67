/** Tells a callback how something ended: for what streams ask of those who write them. */
export async function callBack(work: Promise<void>, callback: (error?: Error) => void): Promise<void> {
  try {
    await work
  } catch (error) {
    callback(error as Error)
    return
  }
  callback()
}
