import { runMonitor } from './monitor-server.ts'

/** `node monitor-main.ts STATE_DIRECTORY`; ends at once where one runs already. */
const stateDirectory = process.argv[2]
if (!stateDirectory) throw new Error('the monitor needs a state directory')
// A terminal that goes away, or a Ctrl-C meant for the daemon, is no reason to leave the containers alone.
for (const signal of ['SIGHUP', 'SIGINT', 'SIGPIPE'] as const) process.on(signal, () => {})
// A promise that nobody waits for is about one process or one client: to end for it would end what is executed in all
// containers, and take from all of them what they read. What is thrown outside of promises has left something half done that
// is everybody's, such as whose turn it is, so that the next monitor begins anew from what is on the disk.
process.on('unhandledRejection', (error) => console.error('a failure that nobody waited for:', error))
await runMonitor(stateDirectory)
