import { runMonitor } from './monitor-server.ts'

/** `node monitor-main.ts STATE_DIRECTORY`; ends at once where one runs already. */
const stateDirectory = process.argv[2]
if (!stateDirectory) throw new Error('the monitor needs a state directory')
// A terminal that goes away, or a Ctrl-C meant for the daemon, is no reason to leave the containers alone.
for (const signal of ['SIGHUP', 'SIGINT', 'SIGPIPE'] as const) process.on(signal, () => {})
await runMonitor(stateDirectory)
