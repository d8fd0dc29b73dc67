/** A sandbox's network made by hand: a namespace, a veth pair, an address and a route, as Caisson makes them for its own. */
import { execFileSync } from 'node:child_process'

export interface BareNetwork extends Disposable {
  /** Of the network namespace. */
  path: string
}

const LINK = 'cbench0'

/** One at a time. */
export function makeBareNetwork(): BareNetwork {
  const namespace = `caisson-bench-${process.pid}`
  execFileSync('ip', ['netns', 'add', namespace])
  execFileSync('ip', ['-batch', '-'], {
    input: `link add ${LINK} type veth peer name eth0 netns ${namespace}\nlink set ${LINK} up\n`,
  })
  execFileSync('ip', ['-n', namespace, '-batch', '-'], {
    input: 'link set lo up\naddr add 10.250.250.2/24 dev eth0\nlink set eth0 up\nroute add default via 10.250.250.1\n',
  })
  return {
    path: `/run/netns/${namespace}`,
    [Symbol.dispose]() {
      execFileSync('ip', ['link', 'del', LINK], { stdio: 'ignore' })
      execFileSync('ip', ['netns', 'del', namespace])
    },
  }
}
