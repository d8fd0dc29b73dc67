/**
 * The schemas of Sandbox, from which its types and its CustomResourceDefinition come. Only the type checker and
 * scripts/generate-crds.ts read them: what runs has the types for nothing and the schemas as generated JSON, because zod
 * takes a twentieth of the time that a cluster may take to start.
 */
import type { PersistentVolumeClaimSpec, PodSpec } from 'kubernetes-types/core/v1.d.ts'
import { z } from 'zod'
import { coreType, dateTime, integer } from '../schema/zod-to-structural.ts'
import { MEMORY_POLICIES, OPERATING_MODES, SHUTDOWN_POLICIES } from './choices.ts'

const stringMap = z.record(z.string(), z.string())

export const podMetadata = z.object({
  labels: stringMap.exactOptional().meta({
    description: 'Labels of the Pod. Keys under agents.x-k8s.io/ and extensions.agents.x-k8s.io/ are ignored.',
  }),
  annotations: stringMap.exactOptional().meta({
    description: 'Annotations of the Pod. Keys under agents.x-k8s.io/ and extensions.agents.x-k8s.io/ are ignored.',
  }),
})

export const podTemplate = z.object({
  metadata: podMetadata
    .exactOptional()
    .meta({ description: 'Labels and annotations that the Pod carries, kept up to date while it runs.' }),
  spec: coreType<PodSpec>('PodSpec').meta({
    description: 'The PodSpec of the Pod. A change applies to the next Pod; one that runs is not replaced.',
  }),
})

export const persistentVolumeClaimTemplate = z.object({
  metadata: z
    .object({
      name: z.string().exactOptional().meta({
        description: 'Name of the volume in the Pod; the claim is called NAME-SANDBOX.',
      }),
      labels: stringMap.exactOptional().meta({ description: 'Labels of the claim.' }),
      annotations: stringMap.exactOptional().meta({ description: 'Annotations of the claim.' }),
    })
    .exactOptional()
    .meta({ description: 'Name, labels and annotations of the claim.' }),
  spec: coreType<PersistentVolumeClaimSpec>('PersistentVolumeClaimSpec').meta({
    description: 'The spec of the claim.',
  }),
})

/** What a Sandbox and a template of Sandboxes have in common. */
export const sandboxBlueprint = z.object({
  podTemplate: podTemplate.meta({ description: 'The Pod that the Sandbox runs.' }),
  volumeClaimTemplates: z.array(persistentVolumeClaimTemplate).exactOptional().meta({
    description:
      'Storage that outlives the Pod: one PersistentVolumeClaim for each entry, mounted as the volume of the same name, kept over suspend and resume, deleted with the Sandbox.',
    'x-kubernetes-list-type': 'atomic',
  }),
  service: z.boolean().exactOptional().meta({
    description:
      'True makes a headless Service of the same name, false removes it. Left out, one that exists already is kept and none is made.',
  }),
})

export const suspension = z.object({
  memory: z.enum(MEMORY_POLICIES).default('Discard').meta({
    description:
      'Discard ends the processes. Keep has them go on where they were when the Sandbox runs again; that needs gVisor and a Pod without init containers.',
  }),
})

/** Where a Sandbox's processes come from, as Sandboxes and templates name it. */
export const fromSnapshot = z.string().min(1).max(253).exactOptional().meta({
  description:
    'The SandboxSnapshot of the same namespace whose processes the Pod begins with, in place of a new one. A container that ends is started anew, without it.',
})

/** A year: longer is never, which is said by leaving it out. */
const LONGEST_IDLE_SECONDS = 31_622_400

export const idleSuspension = z.object({
  afterSeconds: integer('int32').min(1).max(LONGEST_IDLE_SECONDS).meta({
    description:
      'After so many seconds without an exec, attach, port-forward, network traffic or output. What only computes counts as idle.',
  }),
})

export const sandboxSpec = sandboxBlueprint.extend({
  shutdownTime: dateTime().exactOptional().meta({
    description: 'The moment at which the Sandbox ends: its Pod and its Service are deleted. Left out, it never ends.',
  }),
  shutdownPolicy: z.enum(SHUTDOWN_POLICIES).default('Retain').meta({
    description:
      'What happens to the Sandbox itself at shutdownTime: Delete removes it, Retain keeps it with its conditions.',
  }),
  operatingMode: z.enum(OPERATING_MODES).default('Running').meta({
    description:
      'Running keeps a Pod; Suspended deletes the Pod and keeps the storage and the Service. Where replicas is given, replicas decides and this field follows it.',
  }),
  fromSnapshot,
  suspension: suspension.exactOptional().meta({ description: 'How the Sandbox is suspended.' }),
  idleSuspension: idleSuspension.exactOptional().meta({
    description:
      'Suspends the Sandbox by itself when nothing happens in it. An exec, attach or port-forward has it run again.',
  }),
  replicas: integer('int32').min(0).max(1).exactOptional().meta({
    description: '1 is Running, 0 is Suspended. Wins over operatingMode while it is there.',
  }),
})

export const condition = z.object({
  type: z.string().max(316).meta({
    description: 'What the condition is about, such as Ready.',
    pattern:
      '^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])$',
  }),
  status: z.enum(['True', 'False', 'Unknown']).meta({ description: 'True, False or Unknown.' }),
  observedGeneration: integer('int64')
    .min(0)
    .exactOptional()
    .meta({ description: 'The metadata.generation that the condition was computed from.' }),
  lastTransitionTime: dateTime().meta({ description: 'When status last changed.' }),
  reason: z.string().min(1).max(1024).meta({
    description: 'Why, as one word for programs.',
    pattern: '^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$',
  }),
  message: z.string().max(32768).meta({ description: 'Why, as a sentence for people.' }),
})

export const sandboxStatus = z.object({
  serviceFQDN: z
    .string()
    .exactOptional()
    .meta({ description: "The Service's name within the cluster's DNS; empty without a Service." }),
  service: z.string().exactOptional().meta({ description: 'Name of the headless Service; empty without one.' }),
  conditions: z.array(condition).exactOptional().meta({
    description:
      'Ready, Suspended, PodScheduled and Finished. PodScheduled and Finished are there only while they apply.',
  }),
  selector: z.string().exactOptional().meta({ description: 'Label selector that finds the Pod.' }),
  podIPs: z
    .array(z.string())
    .exactOptional()
    .meta({ description: "The Pod's addresses; empty while there is no Pod." }),
  nodeName: z
    .string()
    .exactOptional()
    .meta({ description: 'The node that the Pod runs on; empty while there is no Pod.' }),
  replicas: integer('int32')
    .min(0)
    .exactOptional()
    .meta({ description: 'Number of Pods that exist, 0 or 1. Written only where spec.replicas is given.' }),
})
