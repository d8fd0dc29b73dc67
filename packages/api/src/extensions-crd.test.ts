import { describe, expect, test } from 'vitest'
import { claimCrd } from './claim/crd.ts'
import { poolCrd } from './pool/crd.ts'
import type { CustomResourceDefinition } from './sandbox/crd.ts'
import type { StructuralSchema } from './schema/structural-schema.ts'
import { templateCrd } from './template/crd.ts'

const schemaOf = (crd: CustomResourceDefinition): StructuralSchema => crd.spec.versions[0]?.schema.openAPIV3Schema ?? {}

/** Everything about the definition but its schema. */
function frameOf(crd: CustomResourceDefinition): object {
  const { versions, ...spec } = crd.spec
  return { name: crd.metadata.name, ...spec, versions: versions.map(({ schema: _schema, ...version }) => version) }
}

/** One line for each field: its type and what else there is to it. */
function fieldsOf(schema: StructuralSchema, path = ''): string[] {
  const { properties, items, additionalProperties, description: _description, type, required = [], ...rest } = schema
  if (properties?.['containers'] || properties?.['accessModes']) return [`${path}: core type`]
  const lines =
    path === '' ? [] : [[`${path}: ${type}`, ...(Object.keys(rest).length ? [JSON.stringify(rest)] : [])].join(' ')]
  for (const [name, property] of Object.entries(properties ?? {}))
    lines.push(...fieldsOf(property, `${path}.${name}${required.includes(name) ? '!' : ''}`))
  if (items) lines.push(...fieldsOf(items, `${path}[]`))
  if (additionalProperties) lines.push(...fieldsOf(additionalProperties, `${path}{}`))
  return lines
}

const specOf = (crd: CustomResourceDefinition): StructuralSchema => schemaOf(crd).properties?.['spec'] ?? {}

describe('SandboxTemplate', () => {
  test('its frame', () =>
    expect(frameOf(templateCrd())).toMatchInlineSnapshot(`
    {
      "conversion": {
        "strategy": "None",
      },
      "group": "extensions.agents.x-k8s.io",
      "name": "sandboxtemplates.extensions.agents.x-k8s.io",
      "names": {
        "kind": "SandboxTemplate",
        "listKind": "SandboxTemplateList",
        "plural": "sandboxtemplates",
        "shortNames": [
          "sandboxtemplate",
        ],
        "singular": "sandboxtemplate",
      },
      "scope": "Namespaced",
      "versions": [
        {
          "name": "v1beta1",
          "served": true,
          "storage": true,
        },
      ],
    }
  `))
  test('its fields', () =>
    expect(fieldsOf(schemaOf(templateCrd()))).toMatchInlineSnapshot(`
      [
        ".apiVersion: string",
        ".kind: string",
        ".metadata: object",
        ".spec!: object",
        ".spec!.podTemplate!: object",
        ".spec!.podTemplate!.metadata: object",
        ".spec!.podTemplate!.metadata.labels: object",
        ".spec!.podTemplate!.metadata.labels{}: string",
        ".spec!.podTemplate!.metadata.annotations: object",
        ".spec!.podTemplate!.metadata.annotations{}: string",
        ".spec!.podTemplate!.spec!: core type",
        ".spec!.volumeClaimTemplates: array {"x-kubernetes-list-type":"atomic"}",
        ".spec!.volumeClaimTemplates[]: object",
        ".spec!.volumeClaimTemplates[].metadata: object",
        ".spec!.volumeClaimTemplates[].metadata.name: string",
        ".spec!.volumeClaimTemplates[].metadata.labels: object",
        ".spec!.volumeClaimTemplates[].metadata.labels{}: string",
        ".spec!.volumeClaimTemplates[].metadata.annotations: object",
        ".spec!.volumeClaimTemplates[].metadata.annotations{}: string",
        ".spec!.volumeClaimTemplates[].spec!: core type",
        ".spec!.service: boolean",
        ".spec!.networkPolicy: object",
        ".spec!.networkPolicy.ingress: array",
        ".spec!.networkPolicy.ingress[]: object",
        ".spec!.networkPolicy.ingress[].from: array {"x-kubernetes-list-type":"atomic"}",
        ".spec!.networkPolicy.ingress[].from[]: object",
        ".spec!.networkPolicy.ingress[].from[].ipBlock: object",
        ".spec!.networkPolicy.ingress[].from[].ipBlock.cidr!: string",
        ".spec!.networkPolicy.ingress[].from[].ipBlock.except: array {"x-kubernetes-list-type":"atomic"}",
        ".spec!.networkPolicy.ingress[].from[].ipBlock.except[]: string",
        ".spec!.networkPolicy.ingress[].from[].namespaceSelector: object {"x-kubernetes-map-type":"atomic"}",
        ".spec!.networkPolicy.ingress[].from[].namespaceSelector.matchExpressions: array {"x-kubernetes-list-type":"atomic"}",
        ".spec!.networkPolicy.ingress[].from[].namespaceSelector.matchExpressions[]: object",
        ".spec!.networkPolicy.ingress[].from[].namespaceSelector.matchExpressions[].key!: string",
        ".spec!.networkPolicy.ingress[].from[].namespaceSelector.matchExpressions[].operator!: string",
        ".spec!.networkPolicy.ingress[].from[].namespaceSelector.matchExpressions[].values: array {"x-kubernetes-list-type":"atomic"}",
        ".spec!.networkPolicy.ingress[].from[].namespaceSelector.matchExpressions[].values[]: string",
        ".spec!.networkPolicy.ingress[].from[].namespaceSelector.matchLabels: object",
        ".spec!.networkPolicy.ingress[].from[].namespaceSelector.matchLabels{}: string",
        ".spec!.networkPolicy.ingress[].from[].podSelector: object {"x-kubernetes-map-type":"atomic"}",
        ".spec!.networkPolicy.ingress[].from[].podSelector.matchExpressions: array {"x-kubernetes-list-type":"atomic"}",
        ".spec!.networkPolicy.ingress[].from[].podSelector.matchExpressions[]: object",
        ".spec!.networkPolicy.ingress[].from[].podSelector.matchExpressions[].key!: string",
        ".spec!.networkPolicy.ingress[].from[].podSelector.matchExpressions[].operator!: string",
        ".spec!.networkPolicy.ingress[].from[].podSelector.matchExpressions[].values: array {"x-kubernetes-list-type":"atomic"}",
        ".spec!.networkPolicy.ingress[].from[].podSelector.matchExpressions[].values[]: string",
        ".spec!.networkPolicy.ingress[].from[].podSelector.matchLabels: object",
        ".spec!.networkPolicy.ingress[].from[].podSelector.matchLabels{}: string",
        ".spec!.networkPolicy.ingress[].ports: array {"x-kubernetes-list-type":"atomic"}",
        ".spec!.networkPolicy.ingress[].ports[]: object",
        ".spec!.networkPolicy.ingress[].ports[].endPort: integer {"format":"int32"}",
        ".spec!.networkPolicy.ingress[].ports[].port: undefined {"anyOf":[{"type":"integer"},{"type":"string"}],"x-kubernetes-int-or-string":true}",
        ".spec!.networkPolicy.ingress[].ports[].protocol: string",
        ".spec!.networkPolicy.egress: array",
        ".spec!.networkPolicy.egress[]: object",
        ".spec!.networkPolicy.egress[].ports: array {"x-kubernetes-list-type":"atomic"}",
        ".spec!.networkPolicy.egress[].ports[]: object",
        ".spec!.networkPolicy.egress[].ports[].endPort: integer {"format":"int32"}",
        ".spec!.networkPolicy.egress[].ports[].port: undefined {"anyOf":[{"type":"integer"},{"type":"string"}],"x-kubernetes-int-or-string":true}",
        ".spec!.networkPolicy.egress[].ports[].protocol: string",
        ".spec!.networkPolicy.egress[].to: array {"x-kubernetes-list-type":"atomic"}",
        ".spec!.networkPolicy.egress[].to[]: object",
        ".spec!.networkPolicy.egress[].to[].ipBlock: object",
        ".spec!.networkPolicy.egress[].to[].ipBlock.cidr!: string",
        ".spec!.networkPolicy.egress[].to[].ipBlock.except: array {"x-kubernetes-list-type":"atomic"}",
        ".spec!.networkPolicy.egress[].to[].ipBlock.except[]: string",
        ".spec!.networkPolicy.egress[].to[].namespaceSelector: object {"x-kubernetes-map-type":"atomic"}",
        ".spec!.networkPolicy.egress[].to[].namespaceSelector.matchExpressions: array {"x-kubernetes-list-type":"atomic"}",
        ".spec!.networkPolicy.egress[].to[].namespaceSelector.matchExpressions[]: object",
        ".spec!.networkPolicy.egress[].to[].namespaceSelector.matchExpressions[].key!: string",
        ".spec!.networkPolicy.egress[].to[].namespaceSelector.matchExpressions[].operator!: string",
        ".spec!.networkPolicy.egress[].to[].namespaceSelector.matchExpressions[].values: array {"x-kubernetes-list-type":"atomic"}",
        ".spec!.networkPolicy.egress[].to[].namespaceSelector.matchExpressions[].values[]: string",
        ".spec!.networkPolicy.egress[].to[].namespaceSelector.matchLabels: object",
        ".spec!.networkPolicy.egress[].to[].namespaceSelector.matchLabels{}: string",
        ".spec!.networkPolicy.egress[].to[].podSelector: object {"x-kubernetes-map-type":"atomic"}",
        ".spec!.networkPolicy.egress[].to[].podSelector.matchExpressions: array {"x-kubernetes-list-type":"atomic"}",
        ".spec!.networkPolicy.egress[].to[].podSelector.matchExpressions[]: object",
        ".spec!.networkPolicy.egress[].to[].podSelector.matchExpressions[].key!: string",
        ".spec!.networkPolicy.egress[].to[].podSelector.matchExpressions[].operator!: string",
        ".spec!.networkPolicy.egress[].to[].podSelector.matchExpressions[].values: array {"x-kubernetes-list-type":"atomic"}",
        ".spec!.networkPolicy.egress[].to[].podSelector.matchExpressions[].values[]: string",
        ".spec!.networkPolicy.egress[].to[].podSelector.matchLabels: object",
        ".spec!.networkPolicy.egress[].to[].podSelector.matchLabels{}: string",
        ".spec!.networkPolicyManagement: string {"default":"Managed","enum":["Managed","Unmanaged"]}",
        ".spec!.envVarsInjectionPolicy: string {"default":"Disallowed","enum":["Allowed","Overrides","Disallowed"]}",
        ".spec!.envVarsSources: object",
        ".spec!.envVarsSources.secrets: array {"x-kubernetes-list-type":"atomic","maxItems":64}",
        ".spec!.envVarsSources.secrets[]: string {"minLength":1,"maxLength":253}",
        ".spec!.envVarsSources.configMaps: array {"x-kubernetes-list-type":"atomic","maxItems":64}",
        ".spec!.envVarsSources.configMaps[]: string {"minLength":1,"maxLength":253}",
        ".spec!.volumeClaimTemplatesPolicy: string {"default":"Disallowed","enum":["Allowed","Overrides","Disallowed"]}",
        ".spec!.envVarsDelivery: string {"default":"ColdStart","enum":["ColdStart","Warm"]}",
        ".spec!.fromSnapshot: string {"minLength":1,"maxLength":253}",
        ".spec!.suspension: object",
        ".spec!.suspension.memory: string {"default":"Discard","enum":["Discard","Keep"]}",
        ".spec!.idleSuspension: object",
        ".spec!.idleSuspension.afterSeconds!: integer {"minimum":1,"maximum":31622400,"format":"int32"}",
      ]
    `))
})

describe('SandboxClaim', () => {
  test('its frame', () =>
    expect(frameOf(claimCrd())).toMatchInlineSnapshot(`
    {
      "conversion": {
        "strategy": "None",
      },
      "group": "extensions.agents.x-k8s.io",
      "name": "sandboxclaims.extensions.agents.x-k8s.io",
      "names": {
        "kind": "SandboxClaim",
        "listKind": "SandboxClaimList",
        "plural": "sandboxclaims",
        "shortNames": [
          "sandboxclaim",
        ],
        "singular": "sandboxclaim",
      },
      "scope": "Namespaced",
      "versions": [
        {
          "additionalPrinterColumns": [
            {
              "jsonPath": ".status.conditions[?(@.type=='Ready')].status",
              "name": "Ready",
              "type": "string",
            },
            {
              "jsonPath": ".status.sandbox.name",
              "name": "Sandbox",
              "type": "string",
            },
            {
              "jsonPath": ".status.conditions[?(@.type=='Ready')].reason",
              "name": "Reason",
              "type": "string",
            },
            {
              "jsonPath": ".metadata.creationTimestamp",
              "name": "Age",
              "type": "date",
            },
          ],
          "name": "v1beta1",
          "served": true,
          "storage": true,
          "subresources": {
            "status": {},
          },
        },
      ],
    }
  `))
  test('its fields', () =>
    expect(fieldsOf(schemaOf(claimCrd()))).toMatchInlineSnapshot(`
    [
      ".apiVersion: string",
      ".kind: string",
      ".metadata: object",
      ".spec!: object {"x-kubernetes-validations":[{"rule":"[has(self.warmPoolRef), has(self.templateRef), has(self.warmPoolSelector)].filter(given, given).size() == 1","message":"exactly one of warmPoolRef, templateRef and warmPoolSelector must be given"}]}",
      ".spec!.warmPoolRef: object",
      ".spec!.warmPoolRef.name!: string",
      ".spec!.templateRef: object",
      ".spec!.templateRef.name!: string",
      ".spec!.warmPoolSelector: object {"x-kubernetes-map-type":"atomic"}",
      ".spec!.warmPoolSelector.matchExpressions: array {"x-kubernetes-list-type":"atomic"}",
      ".spec!.warmPoolSelector.matchExpressions[]: object",
      ".spec!.warmPoolSelector.matchExpressions[].key!: string",
      ".spec!.warmPoolSelector.matchExpressions[].operator!: string",
      ".spec!.warmPoolSelector.matchExpressions[].values: array {"x-kubernetes-list-type":"atomic"}",
      ".spec!.warmPoolSelector.matchExpressions[].values[]: string",
      ".spec!.warmPoolSelector.matchLabels: object",
      ".spec!.warmPoolSelector.matchLabels{}: string",
      ".spec!.lifecycle: object",
      ".spec!.lifecycle.shutdownTime: string {"format":"date-time"}",
      ".spec!.lifecycle.ttlSecondsAfterFinished: integer {"minimum":0,"format":"int32"}",
      ".spec!.lifecycle.shutdownPolicy: string {"default":"Retain","enum":["Delete","DeleteForeground","Retain"]}",
      ".spec!.readyDeadlineSeconds: integer {"minimum":1,"format":"int32"}",
      ".spec!.additionalPodMetadata: object",
      ".spec!.additionalPodMetadata.labels: object",
      ".spec!.additionalPodMetadata.labels{}: string",
      ".spec!.additionalPodMetadata.annotations: object",
      ".spec!.additionalPodMetadata.annotations{}: string",
      ".spec!.env: array {"x-kubernetes-list-type":"atomic"}",
      ".spec!.env[]: object {"x-kubernetes-validations":[{"rule":"has(self.value) != has(self.valueFrom)","message":"exactly one of value and valueFrom must be given"}]}",
      ".spec!.env[].name!: string",
      ".spec!.env[].value: string",
      ".spec!.env[].valueFrom: object {"x-kubernetes-validations":[{"rule":"has(self.secretKeyRef) != has(self.configMapKeyRef)","message":"exactly one of secretKeyRef and configMapKeyRef must be given"}]}",
      ".spec!.env[].valueFrom.secretKeyRef: object {"x-kubernetes-map-type":"atomic"}",
      ".spec!.env[].valueFrom.secretKeyRef.key!: string",
      ".spec!.env[].valueFrom.secretKeyRef.name: string {"default":""}",
      ".spec!.env[].valueFrom.secretKeyRef.optional: boolean",
      ".spec!.env[].valueFrom.configMapKeyRef: object {"x-kubernetes-map-type":"atomic"}",
      ".spec!.env[].valueFrom.configMapKeyRef.key!: string",
      ".spec!.env[].valueFrom.configMapKeyRef.name: string {"default":""}",
      ".spec!.env[].valueFrom.configMapKeyRef.optional: boolean",
      ".spec!.env[].containerName: string",
      ".spec!.volumeClaimTemplates: array {"x-kubernetes-list-type":"atomic"}",
      ".spec!.volumeClaimTemplates[]: object",
      ".spec!.volumeClaimTemplates[].metadata: object",
      ".spec!.volumeClaimTemplates[].metadata.name: string",
      ".spec!.volumeClaimTemplates[].metadata.labels: object",
      ".spec!.volumeClaimTemplates[].metadata.labels{}: string",
      ".spec!.volumeClaimTemplates[].metadata.annotations: object",
      ".spec!.volumeClaimTemplates[].metadata.annotations{}: string",
      ".spec!.volumeClaimTemplates[].spec!: core type",
      ".status: object",
      ".status.conditions: array",
      ".status.conditions[]: object",
      ".status.conditions[].type!: string {"maxLength":316,"pattern":"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\\\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])$"}",
      ".status.conditions[].status!: string {"enum":["True","False","Unknown"]}",
      ".status.conditions[].observedGeneration: integer {"minimum":0,"format":"int64"}",
      ".status.conditions[].lastTransitionTime!: string {"format":"date-time"}",
      ".status.conditions[].reason!: string {"minLength":1,"maxLength":1024,"pattern":"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$"}",
      ".status.conditions[].message!: string {"maxLength":32768}",
      ".status.sandbox: object",
      ".status.sandbox.name: string",
      ".status.sandbox.podIPs: array",
      ".status.sandbox.podIPs[]: string",
      ".status.sandbox.serviceFQDN: string",
    ]
  `))
  test('its rules', () =>
    expect([
      specOf(claimCrd())['x-kubernetes-validations'],
      schemaOf(claimCrd())['x-kubernetes-validations'],
    ]).toMatchInlineSnapshot(`
      [
        [
          {
            "message": "exactly one of warmPoolRef, templateRef and warmPoolSelector must be given",
            "rule": "[has(self.warmPoolRef), has(self.templateRef), has(self.warmPoolSelector)].filter(given, given).size() == 1",
          },
        ],
        [
          {
            "message": "spec.warmPoolRef is immutable once the claim has its Sandbox",
            "rule": "!has(oldSelf.status) || !has(oldSelf.status.sandbox) || !has(oldSelf.status.sandbox.name) || oldSelf.status.sandbox.name == '' || (has(self.spec.warmPoolRef) == has(oldSelf.spec.warmPoolRef) && (!has(self.spec.warmPoolRef) || self.spec.warmPoolRef == oldSelf.spec.warmPoolRef))",
          },
          {
            "message": "spec.templateRef is immutable once the claim has its Sandbox",
            "rule": "!has(oldSelf.status) || !has(oldSelf.status.sandbox) || !has(oldSelf.status.sandbox.name) || oldSelf.status.sandbox.name == '' || (has(self.spec.templateRef) == has(oldSelf.spec.templateRef) && (!has(self.spec.templateRef) || self.spec.templateRef == oldSelf.spec.templateRef))",
          },
          {
            "message": "spec.warmPoolSelector is immutable once the claim has its Sandbox",
            "rule": "!has(oldSelf.status) || !has(oldSelf.status.sandbox) || !has(oldSelf.status.sandbox.name) || oldSelf.status.sandbox.name == '' || (has(self.spec.warmPoolSelector) == has(oldSelf.spec.warmPoolSelector) && (!has(self.spec.warmPoolSelector) || self.spec.warmPoolSelector == oldSelf.spec.warmPoolSelector))",
          },
          {
            "message": "spec.env is immutable once the claim has its Sandbox",
            "rule": "!has(oldSelf.status) || !has(oldSelf.status.sandbox) || !has(oldSelf.status.sandbox.name) || oldSelf.status.sandbox.name == '' || (has(self.spec.env) == has(oldSelf.spec.env) && (!has(self.spec.env) || self.spec.env == oldSelf.spec.env))",
          },
          {
            "message": "spec.volumeClaimTemplates is immutable once the claim has its Sandbox",
            "rule": "!has(oldSelf.status) || !has(oldSelf.status.sandbox) || !has(oldSelf.status.sandbox.name) || oldSelf.status.sandbox.name == '' || (has(self.spec.volumeClaimTemplates) == has(oldSelf.spec.volumeClaimTemplates) && (!has(self.spec.volumeClaimTemplates) || self.spec.volumeClaimTemplates == oldSelf.spec.volumeClaimTemplates))",
          },
        ],
      ]
    `))
})

describe('SandboxWarmPool', () => {
  test('its frame', () =>
    expect(frameOf(poolCrd())).toMatchInlineSnapshot(`
    {
      "conversion": {
        "strategy": "None",
      },
      "group": "extensions.agents.x-k8s.io",
      "name": "sandboxwarmpools.extensions.agents.x-k8s.io",
      "names": {
        "kind": "SandboxWarmPool",
        "listKind": "SandboxWarmPoolList",
        "plural": "sandboxwarmpools",
        "shortNames": [
          "swp",
        ],
        "singular": "sandboxwarmpool",
      },
      "scope": "Namespaced",
      "versions": [
        {
          "additionalPrinterColumns": [
            {
              "jsonPath": ".status.readyReplicas",
              "name": "Ready",
              "type": "integer",
            },
            {
              "jsonPath": ".spec.replicas",
              "name": "Desired",
              "type": "integer",
            },
            {
              "jsonPath": ".metadata.creationTimestamp",
              "name": "Age",
              "type": "date",
            },
          ],
          "name": "v1beta1",
          "served": true,
          "storage": true,
          "subresources": {
            "scale": {
              "labelSelectorPath": ".status.selector",
              "specReplicasPath": ".spec.replicas",
              "statusReplicasPath": ".status.replicas",
            },
            "status": {},
          },
        },
      ],
    }
  `))
  test('its fields', () =>
    expect(fieldsOf(schemaOf(poolCrd()))).toMatchInlineSnapshot(`
    [
      ".apiVersion: string",
      ".kind: string",
      ".metadata: object",
      ".spec!: object {"x-kubernetes-validations":[{"rule":"!has(self.minReplicas) || !has(self.maxReplicas) || self.minReplicas <= self.maxReplicas","message":"minReplicas must not be greater than maxReplicas"}]}",
      ".spec!.replicas: integer {"default":1,"minimum":0,"format":"int32"}",
      ".spec!.sandboxTemplateRef!: object",
      ".spec!.sandboxTemplateRef!.name!: string",
      ".spec!.updateStrategy: object",
      ".spec!.updateStrategy.type: string {"default":"OnReplenish","enum":["Recreate","OnReplenish","RollingUpdate"]}",
      ".spec!.updateStrategy.rollingUpdate: object",
      ".spec!.updateStrategy.rollingUpdate.maxSurge: undefined {"pattern":"^([0-9]+|[0-9]{1,2}%|100%)$","anyOf":[{"type":"integer"},{"type":"string"}],"x-kubernetes-int-or-string":true}",
      ".spec!.updateStrategy.rollingUpdate.maxUnavailable: undefined {"pattern":"^([0-9]+|[0-9]{1,2}%|100%)$","anyOf":[{"type":"integer"},{"type":"string"}],"x-kubernetes-int-or-string":true}",
      ".spec!.readinessGracePeriodSeconds: integer {"minimum":30,"format":"int32"}",
      ".spec!.minReplicas: integer {"minimum":0,"format":"int32"}",
      ".spec!.maxReplicas: integer {"minimum":0,"format":"int32"}",
      ".spec!.idleTimeoutSeconds: integer {"minimum":1,"format":"int32"}",
      ".status: object",
      ".status.replicas: integer {"format":"int32"}",
      ".status.readyReplicas: integer {"format":"int32"}",
      ".status.selector: string",
      ".status.observedGeneration: integer {"minimum":0,"format":"int64"}",
      ".status.updatedReplicas: integer {"format":"int32"}",
      ".status.conditions: array",
      ".status.conditions[]: object",
      ".status.conditions[].type!: string {"maxLength":316,"pattern":"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\\\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])$"}",
      ".status.conditions[].status!: string {"enum":["True","False","Unknown"]}",
      ".status.conditions[].observedGeneration: integer {"minimum":0,"format":"int64"}",
      ".status.conditions[].lastTransitionTime!: string {"format":"date-time"}",
      ".status.conditions[].reason!: string {"minLength":1,"maxLength":1024,"pattern":"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$"}",
      ".status.conditions[].message!: string {"maxLength":32768}",
    ]
  `))
})

test.each([templateCrd, claimCrd, poolCrd])('every field says what it is: %o', (crd) => {
  const silent: string[] = []
  const visit = (schema: StructuralSchema, path: string) => {
    for (const [name, property] of Object.entries(schema.properties ?? {})) {
      if (!property.description && `${path}.${name}` !== '.metadata') silent.push(`${path}.${name}`)
      // The structure of core types comes without their descriptions.
      const own = property.type === 'object' && Object.values(property.properties ?? {}).every((one) => one.description)
      if (own) visit(property, `${path}.${name}`)
    }
    if (schema.items) visit(schema.items, `${path}[]`)
  }
  visit(schemaOf(crd()), '')
  expect(silent).toEqual([])
})
