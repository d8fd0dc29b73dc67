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
    specs: /KubeletManagedEtcHosts|node-pod communication/,
  },
  {
    title: 'gVisor answers otherwise than Linux',
    why: 'Who may not make a network device is answered EACCES by gVisor and EPERM by Linux, and one test looks for the words of the latter; the other one sets `kernel.shm_rmid_forced`, which gVisor does not have.',
    specs: /as unprivileged when false|should support sysctls/,
  },
  {
    title: "Volumes in memory are the node's tmpfs",
    why: 'An `emptyDir` of medium `Memory` is a tmpfs of the node that gVisor hands in through its gofer, which the sandbox sees as a file system of another type than tmpfs. What it does is the same.',
    specs: /EmptyDir volumes .*tmpfs/,
  },
  {
    title: 'Ports of the node are open on loopback alone',
    why: "Node ports and host ports are there for this machine's own programs, on 127.0.0.1, whatever address is asked for: the tests go to the node's address from within Pods, or use one port on two addresses.",
    specs: /NodePort service|ExternalName to NodePort|HostPort validates/,
  },
  {
    title: 'Links in proxied pages are not rewritten',
    why: 'What is shown through the proxy of the API server has no origin for a browser, and its links stay as they are.',
    specs: /Proxy version v1 should proxy through a service and a pod/,
  },
  {
    title: 'There is one node',
    why: 'These tests want two nodes, and fail where there is one.',
    specs: /at least two untainted nodes|should rollback without unnecessary restarts/,
  },
  {
    title: 'Fields of ObjectMeta are not described',
    why: '`kubectl explain` has no words for the fields that every object has: the documents of built-in kinds come without descriptions.',
    specs: /works for CRD with validation schema/,
  },
]
