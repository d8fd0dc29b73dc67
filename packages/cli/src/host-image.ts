/** A read-only view of this machine, which needs no download: what sandboxes run in unless an image is named. */
export const HOST_IMAGE = 'caisson.dev/host'
