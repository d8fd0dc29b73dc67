import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import type { StructuralSchema } from '../schema/structural-schema.ts'
import { sandboxCrd } from './crd.ts'

const schemaOf = (version: string) => {
  const found = sandboxCrd().spec.versions.find(({ name }) => name === version)
  if (!found) throw new Error(`no version ${version}`)
  return found.schema.openAPIV3Schema
}

/** `at(schema, 'spec.podTemplate.spec.containers[].ports')`. */
function at(schema: StructuralSchema, path: string): StructuralSchema {
  let here: StructuralSchema | undefined = schema
  for (const step of path.replaceAll('[]', '.[]').split('.'))
    here = step === '[]' ? here?.items : here?.properties?.[step]
  if (!here) throw new Error(`the schema has no ${path}`)
  return here
}

describe('sandboxCrd', () => {
  test('the committed file is what the kinds say', () => {
    const script = fileURLToPath(new URL('../../scripts/generate-crds.ts', import.meta.url))
    expect(() => execFileSync(process.execPath, [script, '--check'], { stdio: 'pipe' })).not.toThrow()
  })

  test('names, versions and subresources', () => {
    const { versions, ...spec } = sandboxCrd().spec
    expect(spec).toMatchInlineSnapshot(`
      {
        "conversion": {
          "strategy": "None",
        },
        "group": "agents.x-k8s.io",
        "names": {
          "kind": "Sandbox",
          "listKind": "SandboxList",
          "plural": "sandboxes",
          "shortNames": [
            "sandbox",
          ],
          "singular": "sandbox",
        },
        "scope": "Namespaced",
      }
    `)
    expect(versions.map(({ schema: _schema, ...version }) => version)).toMatchInlineSnapshot(`
      [
        {
          "additionalPrinterColumns": [
            {
              "jsonPath": ".status.conditions[?(@.type=='Ready')].status",
              "name": "Ready",
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
        {
          "additionalPrinterColumns": [
            {
              "jsonPath": ".status.conditions[?(@.type=='Ready')].status",
              "name": "Ready",
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
          "name": "v1alpha1",
          "served": true,
          "storage": false,
          "subresources": {
            "scale": {
              "labelSelectorPath": ".status.selector",
              "specReplicasPath": ".spec.replicas",
              "statusReplicasPath": ".status.replicas",
            },
            "status": {},
          },
        },
      ]
    `)
  })

  test('the fields of our own, without the core types', () => {
    const own = structuredClone(schemaOf('v1beta1')) as { properties: Record<string, StructuralSchema> }
    const outline = (schema: StructuralSchema): unknown => {
      if (schema.properties?.containers || schema.properties?.accessModes) return 'core'
      const { description: _description, properties, items, ...rest } = schema
      return {
        ...rest,
        ...(properties && {
          properties: Object.fromEntries(Object.entries(properties).map(([k, v]) => [k, outline(v)])),
        }),
        ...(items && { items: outline(items) }),
      }
    }
    expect(outline(own.properties.spec ?? {})).toMatchInlineSnapshot(`
      {
        "properties": {
          "fromSnapshot": {
            "maxLength": 253,
            "minLength": 1,
            "type": "string",
          },
          "idleSuspension": {
            "properties": {
              "afterSeconds": {
                "format": "int32",
                "maximum": 31622400,
                "minimum": 1,
                "type": "integer",
              },
            },
            "required": [
              "afterSeconds",
            ],
            "type": "object",
          },
          "operatingMode": {
            "default": "Running",
            "enum": [
              "Running",
              "Suspended",
            ],
            "type": "string",
          },
          "podTemplate": {
            "properties": {
              "metadata": {
                "properties": {
                  "annotations": {
                    "additionalProperties": {
                      "type": "string",
                    },
                    "type": "object",
                  },
                  "labels": {
                    "additionalProperties": {
                      "type": "string",
                    },
                    "type": "object",
                  },
                },
                "type": "object",
              },
              "spec": "core",
            },
            "required": [
              "spec",
            ],
            "type": "object",
          },
          "replicas": {
            "format": "int32",
            "maximum": 1,
            "minimum": 0,
            "type": "integer",
          },
          "service": {
            "type": "boolean",
          },
          "shutdownPolicy": {
            "default": "Retain",
            "enum": [
              "Delete",
              "Retain",
            ],
            "type": "string",
          },
          "shutdownTime": {
            "format": "date-time",
            "type": "string",
          },
          "suspension": {
            "properties": {
              "memory": {
                "default": "Discard",
                "enum": [
                  "Discard",
                  "Keep",
                ],
                "type": "string",
              },
            },
            "type": "object",
          },
          "volumeClaimTemplates": {
            "items": {
              "properties": {
                "metadata": {
                  "properties": {
                    "annotations": {
                      "additionalProperties": {
                        "type": "string",
                      },
                      "type": "object",
                    },
                    "labels": {
                      "additionalProperties": {
                        "type": "string",
                      },
                      "type": "object",
                    },
                    "name": {
                      "type": "string",
                    },
                  },
                  "type": "object",
                },
                "spec": "core",
              },
              "required": [
                "spec",
              ],
              "type": "object",
            },
            "type": "array",
            "x-kubernetes-list-type": "atomic",
          },
        },
        "required": [
          "podTemplate",
        ],
        "type": "object",
        "x-kubernetes-validations": [
          {
            "message": "volumeClaimTemplates is immutable",
            "rule": "has(self.volumeClaimTemplates) == has(oldSelf.volumeClaimTemplates) && (!has(self.volumeClaimTemplates) || self.volumeClaimTemplates == oldSelf.volumeClaimTemplates)",
          },
          {
            "message": "fromSnapshot is immutable",
            "rule": "has(self.fromSnapshot) == has(oldSelf.fromSnapshot) && (!has(self.fromSnapshot) || self.fromSnapshot == oldSelf.fromSnapshot)",
          },
        ],
      }
    `)
  })

  test('both versions have one schema, so that neither prunes what the other writes', () => {
    expect(schemaOf('v1alpha1')).toBe(schemaOf('v1beta1'))
  })

  test.each([
    ['spec.podTemplate.spec.containers', { 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': ['name'] }],
    [
      'spec.podTemplate.spec.containers[].ports',
      { 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': ['containerPort', 'protocol'] },
    ],
    ['spec.podTemplate.spec.containers[].ports[].protocol', { type: 'string', default: 'TCP' }],
    ['spec.podTemplate.spec.containers[].livenessProbe.httpGet.port', { 'x-kubernetes-int-or-string': true }],
    ['spec.podTemplate.spec.imagePullSecrets[]', { 'x-kubernetes-map-type': 'atomic' }],
    ['spec.podTemplate.spec.imagePullSecrets[].name', { type: 'string', default: '' }],
    ['spec.podTemplate.spec.volumes[].iscsi.iscsiInterface', { default: 'default' }],
    ['spec.volumeClaimTemplates', { 'x-kubernetes-list-type': 'atomic' }],
    ['spec.volumeClaimTemplates[].spec.selector', { 'x-kubernetes-map-type': 'atomic' }],
  ])('%s', (path, expected) => {
    expect(at(schemaOf('v1beta1'), path)).toMatchObject(expected)
  })

  test('is structural: no reference is left, every schema has a type, map keys are required or defaulted', () => {
    const broken: string[] = []
    const visit = (schema: StructuralSchema, path: string) => {
      if (schema.$ref) broken.push(`${path} has a reference`)
      if (!schema.type && !schema['x-kubernetes-int-or-string']) broken.push(`${path} has no type`)
      for (const key of schema['x-kubernetes-list-map-keys'] ?? []) {
        const item = schema.items
        if (!item?.required?.includes(key) && item?.properties?.[key]?.default === undefined) {
          broken.push(`${path} has the key ${key}, which is neither required nor defaulted`)
        }
      }
      for (const [name, property] of Object.entries(schema.properties ?? {})) visit(property, `${path}.${name}`)
      if (schema.items) visit(schema.items, `${path}[]`)
      if (schema.additionalProperties) visit(schema.additionalProperties, `${path}{}`)
    }
    visit(schemaOf('v1beta1'), '')
    expect(broken).toEqual([])
  })

  test('every field of ours says what it is', () => {
    const silent: string[] = []
    const visit = (schema: StructuralSchema, path: string) => {
      for (const [name, property] of Object.entries(schema.properties ?? {})) {
        if (!property.description && `${path}.${name}` !== '.metadata') silent.push(`${path}.${name}`)
        if (!property.properties?.containers && !property.properties?.accessModes) visit(property, `${path}.${name}`)
      }
      if (schema.items) visit(schema.items, `${path}[]`)
    }
    visit(schemaOf('v1beta1'), '')
    expect(silent).toEqual([])
  })
})
