/** Not an id that a caller could choose: it has a dot. */
export function pauseContainerId(sandboxId: string): string {
  return `${sandboxId}.pause`
}

/**
 * What OCI runtimes call a container that was made under its id. runsc takes a prefix for the whole id where only one container has it, and would
 * remove "a-2" for an "a" that is gone; with an ending that no id of a caller can have, none is the prefix of another.
 */
export function ociId(containerId: string): string {
  return containerId.includes('.') ? containerId : `${containerId}.c`
}
