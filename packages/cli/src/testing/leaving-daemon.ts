/** A daemon that is told to leave its sandboxes running just before it is told to stop them. Arguments: its data directory. */
process.on('SIGINT', () => process.emit('SIGTERM'))
await import('./careless-daemon.ts')
