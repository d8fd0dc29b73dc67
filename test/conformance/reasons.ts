/** Why conformance specs do not pass: causes, each with the specs that it keeps from passing. */
export interface Reason {
  title: string
  /** The cause, in sentences. */
  why: string
  /** Of names of specs; the first reason that matches counts. */
  specs: RegExp
}

export const REASONS: readonly Reason[] = [
  {
    title: 'WebSockets of another origin are refused',
    why: 'The tests open WebSockets as a page of `http://localhost` would, with that `Origin`. What a browser may have sent is served only to pages of the API server itself, whatever credentials come along.',
    specs: /over websockets/,
  },
  {
    title: 'The node asks nobody but the Pod itself',
    why: 'These tests write lifecycle hooks that go to another Pod. A tenant writes hooks and the node carries them out, from an address that firewalls let through, so that a manifest could look for what listens on the node and behind it: hooks and probes that name another host are refused.',
    specs: /lifecycle hook should execute (poststart|prestop) https? hook/,
  },
  {
    title: "No Pod is given the node's network",
    why: 'These tests run a Pod with `hostNetwork`, which this node gives to none: it would stand outside of every policy.',
    specs: /KubeletManagedEtcHosts/,
  },
  {
    title: 'gVisor answers otherwise than Linux',
    why: 'Who may not make a network device is answered EACCES by gVisor and EPERM by Linux, and the test looks for the words of the latter.',
    specs: /as unprivileged when false/,
  },
  {
    title: "Volumes in memory are the node's tmpfs",
    why: 'An `emptyDir` of medium `Memory` is a tmpfs of the node that gVisor hands in through its gofer, which the sandbox sees as a file system of another type than tmpfs. What it does is the same.',
    specs: /EmptyDir volumes .*tmpfs/,
  },
  {
    title: 'No other API servers are joined in',
    why: '`apiregistration.k8s.io`, by which further API servers are made part of one, is not served.',
    specs:
      /Aggregator|AggregatedDiscovery should support (aggregated discovery interface|raw aggregated discovery endpoint) |Discovery should locate the groupVersion/,
  },
]
