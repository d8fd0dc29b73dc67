/** What judges writes, run by the cluster itself: a webhook in a sandbox, a quota, and the API server as Pods reach it. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { ensureCertificates } from '../../packages/apiserver/src/authn/certificates.ts'
import { type Cluster, startCluster } from './fixture.ts'

let cluster: Cluster
let directory: string

/** Denies whatever has the label `deny`, and labels the rest. */
const WEBHOOK = `
import base64, http.server, json, ssl
class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        review = json.loads(self.rfile.read(int(self.headers["content-length"])))
        request = review["request"]
        labels = (request["object"]["metadata"].get("labels") or {})
        response = {"uid": request["uid"], "allowed": "deny" not in labels}
        if response["allowed"]:
            patch = [{"op": "add", "path": "/metadata/labels", "value": {**labels, "seen": "in-a-sandbox"}}]
            response.update(patchType="JSONPatch", patch=base64.b64encode(json.dumps(patch).encode()).decode())
        else:
            response["status"] = {"message": "said from a sandbox"}
        body = json.dumps({"apiVersion": review["apiVersion"], "kind": review["kind"], "response": response}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
server = http.server.ThreadingHTTPServer(("0.0.0.0", 8443), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("/tls/tls.crt", "/tls/tls.key")
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
`

beforeAll(async () => {
  cluster = await startCluster()
  directory = mkdtempSync(join(tmpdir(), 'admission-'))
  const { server, authority } = await ensureCertificates(directory, { hosts: ['hook.default.svc'], now: Date.now })
  const encoded = (text: string): string => Buffer.from(text).toString('base64')
  await apply(
    {
      apiVersion: 'v1',
      kind: 'Secret',
      type: 'kubernetes.io/tls',
      metadata: { name: 'hook' },
      data: { 'tls.crt': encoded(server.certificate), 'tls.key': encoded(server.key) },
    },
    {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'hook', labels: { app: 'hook' } },
      spec: {
        containers: [
          {
            name: 'main',
            image: 'caisson.dev/host',
            command: ['/usr/bin/python3', '-c', WEBHOOK],
            readinessProbe: { tcpSocket: { port: 8443 }, periodSeconds: 1 },
            volumeMounts: [{ name: 'tls', mountPath: '/tls' }],
          },
        ],
        volumes: [{ name: 'tls', secret: { secretName: 'hook' } }],
      },
    },
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'hook' },
      spec: { selector: { app: 'hook' }, ports: [{ port: 443, targetPort: 8443 }] },
    },
  )
  await cluster.mustKubectl(['wait', '--for=condition=Ready', 'pod/hook', '--timeout=60s'])
  await apply({
    apiVersion: 'admissionregistration.k8s.io/v1',
    kind: 'MutatingWebhookConfiguration',
    metadata: { name: 'hook' },
    webhooks: [
      {
        name: 'hook.example.com',
        clientConfig: { service: { name: 'hook', namespace: 'default' }, caBundle: encoded(authority) },
        rules: [{ operations: ['CREATE'], apiGroups: [''], apiVersions: ['v1'], resources: ['configmaps'] }],
        objectSelector: { matchExpressions: [{ key: 'judged', operator: 'Exists' }] },
        sideEffects: 'None',
        admissionReviewVersions: ['v1'],
      },
    ],
  })
})

afterAll(async () => {
  rmSync(directory, { recursive: true })
  await cluster[Symbol.asyncDispose]()
})

async function apply(...objects: object[]): Promise<void> {
  await cluster.mustKubectl(['apply', '-f', '-'], {
    input: JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objects }),
  })
}

function configMap(name: string, labels: Record<string, string>): string {
  return JSON.stringify({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, labels } })
}

test('a webhook that runs in a sandbox changes and refuses what is written', async () => {
  await cluster.mustKubectl(['create', '-f', '-'], { input: configMap('welcome', { judged: 'yes' }) })
  const stdout = await cluster.mustKubectl(['get', 'configmap', 'welcome', '-o', 'jsonpath={.metadata.labels.seen}'])
  expect(stdout).toBe('in-a-sandbox')
  const refused = await cluster.kubectl(['create', '-f', '-'], {
    input: configMap('denied', { judged: 'yes', deny: 'yes' }),
  })
  expect([refused.code, refused.stderr]).toEqual([
    1,
    expect.stringContaining('admission webhook "hook.example.com" denied the request: said from a sandbox'),
  ])
})

test('a quota is kept, and kubectl shows it', async () => {
  await cluster.mustKubectl(['create', 'namespace', 'small'])
  await cluster.mustKubectl(['-n', 'small', 'create', 'quota', 'tight', '--hard=secrets=1'])
  await cluster.mustKubectl([
    '-n',
    'small',
    'wait',
    '--for=jsonpath={.status.used.secrets}=0',
    'quota/tight',
    '--timeout=30s',
  ])
  await cluster.mustKubectl(['-n', 'small', 'create', 'secret', 'generic', 'one'])
  const second = await cluster.kubectl(['-n', 'small', 'create', 'secret', 'generic', 'two'])
  expect([second.code, second.stderr]).toEqual([
    1,
    expect.stringContaining('exceeded quota: tight, requested: secrets=1, used: secrets=1, limited: secrets=1'),
  ])
  expect(await cluster.mustKubectl(['-n', 'small', 'describe', 'quota', 'tight'])).toMatch(/secrets +1 +1/)
})

test('a Pod finds the API server by its Service, its certificate and its token', async () => {
  const script = `
import json, os, ssl, urllib.request
root = "/var/run/secrets/kubernetes.io/serviceaccount/"
address = "https://" + os.environ["KUBERNETES_SERVICE_HOST"] + ":" + os.environ["KUBERNETES_SERVICE_PORT"]
context = ssl.create_default_context(cafile=root + "ca.crt")
for host in [address, "https://kubernetes.default.svc"]:
    request = urllib.request.Request(host + "/apis/authentication.k8s.io/v1/selfsubjectreviews", method="POST",
        data=b'{"apiVersion":"authentication.k8s.io/v1","kind":"SelfSubjectReview"}',
        headers={"content-type": "application/json", "authorization": "Bearer " + open(root + "token").read()})
    print(json.load(urllib.request.urlopen(request, context=context))["status"]["userInfo"]["username"])
`
  const stdout = await cluster.mustKubectl(['exec', 'hook', '--', '/usr/bin/python3', '-c', script])
  expect(stdout).toBe('system:serviceaccount:default:default\n'.repeat(2))
})
