/**
 * How long a server keeps a connection on which nothing is asked, ms: longer than the clients of Kubernetes do (90 s), so
 * that it is always they who close it. It counts from the connection's beginning as well as from its last answer: Go's
 * clients make one for each request that finds none, which another may then have served; what comes over it later, for the
 * first time, is not sent again where the connection breaks.
 */
export const IDLE_CONNECTION_MS = 125_000
