/** How a member of a pool that is there already comes to the variables of its claim: by a Secret for each container. */

/** Where that Secret is mounted; a node that knows it gives what is in it to whatever it starts in the container. */
export const WARM_ENV_DIRECTORY = '/run/caisson/env'

/** Unambiguous: the name of a container has no dot. */
export function warmEnvSecret(sandbox: string, container: string): string {
  return `${sandbox}.env.${container}`
}

/** Whether a variable of that name can be a key of a Secret, and a file. */
export function isSecretKey(name: string): boolean {
  return /^[-._a-zA-Z0-9]{1,253}$/.test(name) && !name.startsWith('..') && name !== '.'
}
