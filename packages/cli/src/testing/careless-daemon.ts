/** A daemon that lets a promise reject which nobody awaits, as soon as it serves. Arguments: its data directory. */
import { dataDirectory, prepareDataDirectory } from '../cluster/data-directory.ts'
import { runDaemon } from '../cluster/run-daemon.ts'

const directory = dataDirectory(process.argv[2])
prepareDataDirectory(directory)
await runDaemon(directory, async () => ({
  server: 'https://127.0.0.1:1',
  stopAll: async () => {},
  watch() {
    const timer = setInterval(() => {}, 1000)
    void Promise.reject(new Error('found by a tenant'))
    setTimeout(() => process.stdout.write('goes on\n'), 50)
    return { [Symbol.dispose]: () => clearInterval(timer) }
  },
  [Symbol.asyncDispose]: async () => {},
}))
