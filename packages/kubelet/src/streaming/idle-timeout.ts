/** kubelet's `--streaming-connection-idle-timeout`: a connection without a byte for so long is closed. */
export const IDLE_TIMEOUT_MS = 4 * 60 * 60 * 1000

/** How long a client may take to open the streams that its request asked for. */
export const STREAM_CREATION_TIMEOUT_MS = 30_000
