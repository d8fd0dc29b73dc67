/** The kinds of the core group, in the order of discovery. */
import * as columns from '../../table/builtin-columns.ts'
import { ALL_VERBS } from '../resource.ts'
import { configMapStrategy, secretStrategy } from './config-map.ts'
import { endpointsStrategy } from './endpoints.ts'
import { coreEventKind } from './event-kinds.ts'
import type { Kind } from './kind.ts'
import { limitRangeStrategy } from './limit-range.ts'
import { namespaceStrategy } from './namespace.ts'
import { nodeStrategy } from './node.ts'
import { persistentVolumeStrategy } from './persistent-volume.ts'
import { persistentVolumeClaimStrategy } from './persistent-volume-claim.ts'
import { podStrategy } from './pod.ts'
import { resourceQuotaStrategy } from './resource-quota.ts'
import { field, fields } from './select-fields.ts'
import { serviceStrategy } from './service.ts'
import { serviceAccountStrategy } from './small-kinds.ts'
import { podTemplateKind, replicationControllerKind } from './workload-kinds.ts'

const CORE = 'io.k8s.api.core.v1'

export const coreKinds: readonly Kind[] = [
  {
    definitions: CORE,
    kind: 'ConfigMap',
    plural: 'configmaps',
    shortNames: ['cm'],
    namespaced: true,
    columns: columns.configMapColumns,
    strategy: configMapStrategy,
  },
  {
    definitions: CORE,
    kind: 'Endpoints',
    plural: 'endpoints',
    shortNames: ['ep'],
    namespaced: true,
    columns: columns.endpointsColumns,
    strategy: endpointsStrategy,
    deprecationWarning: 'v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice',
  },
  coreEventKind,
  {
    definitions: CORE,
    kind: 'LimitRange',
    plural: 'limitranges',
    shortNames: ['limits'],
    namespaced: true,
    columns: columns.createdAtColumns,
    strategy: limitRangeStrategy,
  },
  {
    definitions: CORE,
    kind: 'Namespace',
    plural: 'namespaces',
    shortNames: ['ns'],
    namespaced: false,
    verbs: ALL_VERBS.filter((verb) => verb !== 'deletecollection'),
    status: true,
    columns: columns.namespaceColumns,
    strategy: namespaceStrategy,
    selectableFields: fields('status.phase'),
  },
  {
    definitions: CORE,
    kind: 'Node',
    plural: 'nodes',
    shortNames: ['no'],
    namespaced: false,
    status: true,
    columns: columns.nodeColumns,
    strategy: nodeStrategy,
    selectableFields: { 'spec.unschedulable': field('spec.unschedulable', 'false') },
  },
  {
    definitions: CORE,
    kind: 'PersistentVolumeClaim',
    plural: 'persistentvolumeclaims',
    shortNames: ['pvc'],
    namespaced: true,
    status: true,
    columns: columns.persistentVolumeClaimColumns,
    strategy: persistentVolumeClaimStrategy,
  },
  {
    definitions: CORE,
    kind: 'PersistentVolume',
    plural: 'persistentvolumes',
    shortNames: ['pv'],
    namespaced: false,
    status: true,
    columns: columns.persistentVolumeColumns,
    strategy: persistentVolumeStrategy,
  },
  {
    definitions: CORE,
    kind: 'Pod',
    plural: 'pods',
    shortNames: ['po'],
    categories: ['all'],
    namespaced: true,
    status: true,
    columns: columns.podColumns,
    strategy: podStrategy,
    selectableFields: {
      ...fields(
        'spec.nodeName',
        'spec.restartPolicy',
        'spec.schedulerName',
        'spec.serviceAccountName',
        'status.phase',
        'status.podIP',
        'status.nominatedNodeName',
      ),
      'spec.hostNetwork': field('spec.hostNetwork', 'false'),
    },
  },
  podTemplateKind,
  replicationControllerKind,
  {
    definitions: CORE,
    kind: 'ResourceQuota',
    plural: 'resourcequotas',
    shortNames: ['quota'],
    namespaced: true,
    status: true,
    columns: columns.resourceQuotaColumns,
    strategy: resourceQuotaStrategy,
  },
  {
    definitions: CORE,
    kind: 'Secret',
    plural: 'secrets',
    namespaced: true,
    columns: columns.secretColumns,
    strategy: secretStrategy,
    selectableFields: fields('type'),
  },
  {
    definitions: CORE,
    kind: 'ServiceAccount',
    plural: 'serviceaccounts',
    shortNames: ['sa'],
    namespaced: true,
    columns: columns.serviceAccountColumns,
    strategy: serviceAccountStrategy,
  },
  {
    definitions: CORE,
    kind: 'Service',
    plural: 'services',
    shortNames: ['svc'],
    categories: ['all'],
    namespaced: true,
    status: true,
    columns: columns.serviceColumns,
    strategy: serviceStrategy,
    selectableFields: fields('spec.clusterIP', 'spec.type'),
  },
]
