/** Addresses and ranges in every spelling, wherever the API takes one; and ports that are in each other's way. */
import { type Add, get, merge, post } from './requests.ts'

const CORE = '/api/v1/namespaces/one'
const NETWORKING = '/apis/networking.k8s.io/v1/namespaces/one'
const SLICES = '/apis/discovery.k8s.io/v1/namespaces/one/endpointslices'
const REHEARSED = { dryRun: 'All' }

/** Without ports of nodes, which differ from server to server. */
const BALANCED = { type: 'LoadBalancer', allocateLoadBalancerNodePorts: false }

const ADDRESSES = [
  '10.0.0.1',
  '010.0.0.1',
  '10.0.0.001',
  '::ffff:10.0.0.1',
  '::ffff:010.0.0.1',
  '::FFFF:7f00:1',
  '::10.0.0.1',
  'fd00::1',
  'FD00::1',
  'fd00:0:0::1',
  '00fd::1',
  '00001::',
  '1:0:0:2:0:0:0:3',
  'fe80::1%eth0',
  '0.0.0.0',
  '::',
  '127.0.0.1',
  '169.254.1.1',
  '224.0.0.1',
  'ff02::1',
  'ff12::1',
  'ff1f::1',
  '255.255.255.255',
  '',
]

const RANGES = [
  '10.0.0.0/8',
  '10.0.0.1/8',
  '010.0.0.0/8',
  '10.0.0.0/08',
  '010.0.0.1/008',
  '10.0.0.0/0',
  '10.0.0.1/32',
  '10.0.0.0/33',
  '10.0.0.0/1000',
  ' 10.0.0.0/8 ',
  '::ffff:10.0.0.0/104',
  '::ffff:10.0.0.0/96',
  '::ffff:10.0.0.0/80',
  '::ffff:10.0.0.1/128',
  'fd00::/8',
  'fd00::1/8',
  'FD00::/8',
  'fd00:0::/08',
  '::/0',
  'fd00::/129',
  '10.0.0.0',
  '/8',
]

export function addresses(add: Add): void {
  const rehearse = (what: string, path: string, body: object): void =>
    add(`addresses: ${what}`, post(path, body, REHEARSED))
  for (const ip of ADDRESSES) {
    rehearse(`Service with ${ip}`, `${CORE}/services`, service({ externalIPs: ['10.0.0.2', ip], loadBalancerIP: ip }))
    rehearse(`headless Service with ${ip}`, `${CORE}/services`, service({ clusterIP: 'None', externalIPs: [ip] }))
    rehearse(`Service at ${ip}`, `${CORE}/services`, service({ clusterIP: ip }))
    rehearse(`Endpoints of ${ip}`, `${CORE}/endpoints`, endpoints(ip))
    for (const addressType of ['IPv4', 'IPv6'])
      rehearse(`${addressType} slice of ${ip}`, SLICES, slice(addressType, ip))
    rehearse(`Pod with ${ip}`, `${CORE}/pods`, pod('p', { hostAliases: [{ ip }], dnsConfig: { nameservers: [ip] } }))
    rehearse(`IPAddress ${ip}`, '/apis/networking.k8s.io/v1/ipaddresses', {
      metadata: { name: ip },
      spec: { parentRef: { resource: 'services', name: 'a' } },
    })
  }
  for (const range of RANGES) {
    const ranges = service({ ...BALANCED, loadBalancerSourceRanges: [range] })
    rehearse(`Service for ${range}`, `${CORE}/services`, ranges)
    rehearse(`NetworkPolicy for ${range}`, `${NETWORKING}/networkpolicies`, policy({ cidr: range }))
    for (const cidr of ['0.0.0.0/0', '10.0.0.0/7', '::ffff:10.0.0.0/103', '::/0']) {
      const body = policy({ cidr, except: [range] })
      rehearse(`NetworkPolicy for ${cidr} but ${range}`, `${NETWORKING}/networkpolicies`, body)
    }
    rehearse(`Node with ${range}`, '/api/v1/nodes', { metadata: { name: 'n' }, spec: { podCIDRs: [range] } })
  }
  balancers(add)
  add('addresses: Pod', post(`${CORE}/pods`, pod('addressed', {})))
  for (const ip of ADDRESSES) {
    const status = { podIPs: [{ ip }], hostIP: '10.0.0.9', hostIPs: [{ ip: '10.0.0.9' }, { ip }] }
    add(`addresses: Pod at ${ip}`, merge(`${CORE}/pods/addressed/status`, { status }))
  }
}

function balancers(add: Add): void {
  const ingress = { metadata: { name: 'balanced' }, spec: { rules: [{ host: 'a.example' }] } }
  add('addresses: Ingress', post(`${NETWORKING}/ingresses`, ingress))
  const balanced = { ...service(BALANCED), metadata: { name: 'balanced' } }
  add('addresses: Service', post(`${CORE}/services`, balanced))
  for (const ip of ADDRESSES) {
    const status = { loadBalancer: { ingress: [{ ip }, { ip: '10.0.0.2' }] } }
    add(`addresses: Ingress at ${ip}`, merge(`${NETWORKING}/ingresses/balanced/status`, { status }))
    add(`addresses: Service balanced at ${ip}`, merge(`${CORE}/services/balanced/status`, { status }))
  }
  for (const ingressPoint of [
    { ip: '10.0.0.1', ipMode: 'Proxy' },
    { ip: '10.0.0.1', ipMode: 'Bogus' },
    { hostname: 'a.example', ipMode: 'VIP' },
    { hostname: '10.0.0.1' },
    { hostname: 'Not_One' },
  ]) {
    const status = { loadBalancer: { ingress: [ingressPoint] } }
    const label = `addresses: Service balanced by ${JSON.stringify(ingressPoint)}`
    add(label, merge(`${CORE}/services/balanced/status`, { status }))
  }
  add('addresses: get Service', get(`${CORE}/services/balanced`))
}

/** What may become of the addresses and ports of a Service that has some. */
export function changedServices(add: Add): void {
  const at = (name: string): string => `${CORE}/services/${name}`
  const change = (name: string, spec: object): void =>
    add(`changed Service ${name}: ${JSON.stringify(spec)}`, {
      ...merge(at(name), { spec }),
      query: REHEARSED,
    })
  const local = { ...BALANCED, externalTrafficPolicy: 'Local', healthCheckNodePort: 31_999 }
  const specs: Record<string, object> = {
    plain: { clusterIP: '10.96.7.7' },
    headless: { clusterIP: 'None' },
    selecting: { clusterIP: 'None', selector: { a: 'b' } },
    named: { type: 'ExternalName', externalName: 'a.example', clusterIP: '' },
    preferring: { clusterIP: '10.96.7.8', ipFamilyPolicy: 'PreferDualStack' },
    ported: { type: 'NodePort', clusterIP: '10.96.7.9', ports: [{ port: 80, nodePort: 31_998 }] },
    balanced: { ...local, clusterIP: '10.96.7.10', loadBalancerClass: 'example.com/a' },
  }
  for (const [name, spec] of Object.entries(specs))
    add(`changed Service ${name}`, post(`${CORE}/services`, { ...service(spec), metadata: { name } }))
  for (const name of Object.keys(specs)) {
    for (const clusterIP of ['10.96.7.99', '10.96.7.07', '192.0.2.1', 'fd00::1', 'None', 'bogus', '', null]) {
      // kube-apiserver panics.
      if (name !== 'preferring' || clusterIP !== 'None') change(name, { clusterIP })
    }
    for (const clusterIPs of [
      ['10.96.7.99'],
      ['None'],
      ['10.96.7.7', 'fd00::1'],
      ['10.96.7.7', '10.96.7.99'],
      ['x'],
      [],
      null,
    ])
      change(name, { clusterIPs })
    for (const ipFamilyPolicy of ['SingleStack', 'PreferDualStack', 'RequireDualStack', 'Bogus', null])
      change(name, { ipFamilyPolicy })
    for (const ipFamilies of [
      ['IPv4'],
      ['IPv6'],
      ['IPv4', 'IPv6'],
      ['IPv6', 'IPv4'],
      ['IPv4', 'IPv4'],
      ['x'],
      [],
      null,
    ])
      change(name, { ipFamilies })
    change(name, { clusterIP: null, clusterIPs: null })
    change(name, { clusterIP: '10.96.7.99', clusterIPs: ['10.96.7.99'] })
    change(name, { type: 'ExternalName', externalName: 'b.example' })
    change(name, { type: 'ClusterIP' })
    change(name, { loadBalancerClass: 'example.com/b' })
    change(name, { loadBalancerClass: null })
    change(name, { healthCheckNodePort: 31_997 })
    change(name, { externalTrafficPolicy: 'Cluster' })
    change(name, { selector: { c: 'd' } })
  }
  change('ported', { ports: [{ port: 81 }] })
  change('ported', { ports: [{ port: 80, nodePort: 31_999 }] })
  for (const annotations of [
    { 'service.beta.kubernetes.io/load-balancer-source-ranges': '10.0.0.0/8, 10.0.0.1/8,x' },
    { 'service.kubernetes.io/topology-aware-hints': 'auto', 'service.kubernetes.io/topology-mode': 'Auto' },
  ]) {
    for (const name of ['plain', 'balanced'])
      add(`changed Service ${name}: ${JSON.stringify(annotations)}`, {
        ...merge(at(name), { metadata: { annotations } }),
        query: REHEARSED,
      })
  }
}

export function ports(add: Add): void {
  const port = { containerPort: 80 }
  const lists: object[][] = [
    [port, port],
    [port, { ...port, protocol: 'UDP' }],
    [port, { ...port, hostPort: 80 }, { ...port, hostPort: 81 }],
    [
      { ...port, hostPort: 80, hostIP: '10.0.0.1' },
      { ...port, hostPort: 80 },
      { ...port, hostPort: 80, hostIP: '10.0.0.2' },
    ],
    [{ ...port, hostIP: '10.0.0.1' }, port],
    [
      { ...port, name: 'web' },
      { containerPort: 81, name: 'web' },
    ],
    Array.from({ length: 60 }, () => port),
  ]
  lists.forEach((list, index) => {
    const containers = [
      { name: 'a', image: 'busybox', ports: list },
      { name: 'b', image: 'busybox', ports: [port] },
    ]
    const label = `ports in each other's way ${index}`
    add(label, post(`${CORE}/pods`, pod('p', { containers }), REHEARSED))
    const template = { metadata: { labels: { a: 'b' } }, spec: { containers } }
    const spec = { selector: { matchLabels: { a: 'b' } }, template }
    const deployments = '/apis/apps/v1/namespaces/one/deployments'
    add(`${label}, in a template`, post(deployments, { metadata: { name: 'd' }, spec }, REHEARSED))
  })
}

function service(spec: object): object {
  return { metadata: { name: 'addressed' }, spec: { ports: [{ port: 80 }], ...spec } }
}

function endpoints(ip: string): object {
  const subsets = [{ addresses: [{ ip }], notReadyAddresses: [{ ip: '10.0.0.3' }, { ip }], ports: [{ port: 80 }] }]
  return { metadata: { name: 'addressed' }, subsets }
}

function slice(addressType: string, ip: string): object {
  return { metadata: { name: 'addressed' }, addressType, endpoints: [{ addresses: [ip] }], ports: [{ port: 80 }] }
}

function policy(ipBlock: object): object {
  const spec = { podSelector: {}, ingress: [{ from: [{ ipBlock }] }], egress: [{ to: [{ ipBlock }] }] }
  return { metadata: { name: 'addressed' }, spec }
}

function pod(name: string, spec: object): object {
  return { metadata: { name }, spec: { containers: [{ name: 'main', image: 'busybox' }], ...spec } }
}
