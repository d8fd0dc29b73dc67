/** The schemas of SandboxSnapshot; only the type checker and scripts/generate-crds.ts read them. */
import { z } from 'zod'
import { condition, persistentVolumeClaimTemplate, podTemplate } from '../sandbox/sandbox-schema.ts'
import { dateTime, integer } from '../schema/zod-to-structural.ts'

export const snapshotSpec = z.object({
  sandboxName: z.string().min(1).max(253).meta({
    description: 'The Sandbox of the same namespace that is kept. It has to be running, under gVisor.',
  }),
  endSource: z.boolean().default(false).meta({
    description:
      'True ends the processes of the Sandbox once they are kept, at the very moment that is kept: nothing runs in between. False lets them go on.',
  }),
})

export const snapshotStatus = z.object({
  conditions: z
    .array(condition)
    .exactOptional()
    .meta({ description: 'Ready: whether Sandboxes can be made from it. Its reason says what was in the way.' }),
  nodeName: z.string().exactOptional().meta({ description: 'The node that has the files, and can restore them.' }),
  sandboxUID: z.string().exactOptional().meta({ description: 'UID of the Sandbox that was kept.' }),
  podUID: z.string().exactOptional().meta({ description: 'UID of the Pod that was kept.' }),
  takenAt: dateTime().exactOptional().meta({ description: 'The moment that was kept.' }),
  sizeBytes: integer('int64').min(0).exactOptional().meta({ description: 'Bytes of its files on the node.' }),
  digest: z.string().exactOptional().meta({ description: 'Over the digests of its files, as ALGORITHM:HEX.' }),
  runtimeVersion: z.string().exactOptional().meta({ description: 'The version of gVisor; no other can restore it.' }),
  platform: z.string().exactOptional().meta({ description: "gVisor's platform; no other can restore it." }),
  architecture: z.string().exactOptional().meta({ description: 'The architecture, such as amd64.' }),
  cpuFeatures: z.string().exactOptional().meta({
    description: 'A digest of what the processor can do: a program may have chosen its code by it.',
  }),
  image: z.string().exactOptional().meta({ description: 'The image of the container that was kept.' }),
  podTemplate: podTemplate.exactOptional().meta({
    description: 'The Pod template of the Sandbox that was kept: what a Sandbox made from the snapshot needs too.',
  }),
  volumeClaimTemplates: z.array(persistentVolumeClaimTemplate).exactOptional().meta({
    description:
      'Those of the Sandbox that was kept, whose content the snapshot has too: a Sandbox made from it gets copies in claims of its own.',
    'x-kubernetes-list-type': 'atomic',
  }),
})
