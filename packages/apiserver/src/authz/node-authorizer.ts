/**
 * What a node may do, in the place of a role: only what the Pods that are bound to it need. What it may write of that,
 * NodeRestriction says at admission.
 *
 * Decisions and reasons are those of kube-apiserver 1.34 (plugin/pkg/auth/authorizer/node).
 */
import type { UserInfo } from '@caisson/api'
import { exactField, parseFieldTerms } from '../verbs/field-selector.ts'
import type { Attributes, Decision, ResourceAttributes } from './attributes.ts'
import type { AuthorizationSource } from './binding-index.ts'
import { createNodeGraph, type RelatedResource } from './node-graph.ts'
import { type PolicyRule, ruleAllows } from './policy-rules.ts'

export interface NodeAuthorizer extends Disposable {
  /** Undefined where the user is no node. What is not allowed here may still be by a role. */
  authorize(attributes: Attributes): Decision | undefined
}

const USER_PREFIX = 'system:node:'
const GROUP = 'system:nodes'
const NODE_LEASES = 'kube-node-lease'

/** The node that a user is; empty where it does not say which. Undefined for all others. */
export function nodeOf({ username, groups }: UserInfo): string | undefined {
  return username.startsWith(USER_PREFIX) && groups.includes(GROUP) ? username.slice(USER_PREFIX.length) : undefined
}

/** @param rules what every node may do, of resources that are not decided one by one */
export function createNodeAuthorizer(source: AuthorizationSource, rules: readonly PolicyRule[]): NodeAuthorizer {
  const graph = createNodeGraph(source)

  function related(node: string, resource: RelatedResource, { namespace = '', name = '' }: ResourceAttributes) {
    if (name === '') return denied('No Object name found')
    return graph.relates(node, { resource, namespace, name })
      ? ALLOWED
      : denied(`no relationship found between node '${node}' and this object`)
  }

  function get(node: string, resource: RelatedResource, asked: ResourceAttributes): Decision {
    if (asked.verb !== 'get') return denied('can only get individual resources of this type')
    return asked.subresource ? denied('cannot get subresource') : related(node, resource, asked)
  }

  function readNamespaced(node: string, resource: RelatedResource, asked: ResourceAttributes): Decision {
    if (!isRead(asked)) return denied('can only read resources of this type')
    if (asked.subresource) return denied('cannot read subresource')
    if (!asked.namespace) return denied('can only read namespaced object of this type')
    return related(node, resource, asked)
  }

  function claim(node: string, asked: ResourceAttributes): Decision {
    if (asked.subresource !== 'status') return get(node, 'persistentvolumeclaims', asked)
    const writes = asked.verb === 'update' || asked.verb === 'patch'
    return writes ? related(node, 'persistentvolumeclaims', asked) : denied('can only get/update/patch this type')
  }

  function serviceAccount(node: string, asked: ResourceAttributes): Decision {
    const { verb, subresource, name } = asked
    if (verb === 'get' && !subresource) return readNamespaced(node, 'serviceaccounts', asked)
    if (verb !== 'create' || !name) return denied('can only create tokens for individual service accounts')
    if (subresource !== 'token') return denied('can only create token subresource of serviceaccount')
    return related(node, 'serviceaccounts', asked)
  }

  function pod(node: string, asked: ResourceAttributes): Decision {
    const { verb, subresource = '', name, fieldSelector } = asked
    switch (subresource) {
      case '':
        if (verb === 'get') return get(node, 'pods', asked)
        if (verb === 'create' || verb === 'delete') return ALLOWED
        if (verb !== 'list' && verb !== 'watch') return NOTHING
        if (pinned(fieldSelector, 'spec.nodeName') === node) return ALLOWED
        return name
          ? related(node, 'pods', asked)
          : denied('can only list/watch pods with spec.nodeName field selector')
      case 'status':
        return verb === 'update' || verb === 'patch' ? ALLOWED : NOTHING
      case 'eviction':
        return verb === 'create' ? ALLOWED : NOTHING
      default:
        return NOTHING
    }
  }

  function decide(node: string, asked: ResourceAttributes): Decision | undefined {
    switch (asked.group === '' ? asked.resource : `${asked.resource}.${asked.group}`) {
      case 'secrets':
        return readNamespaced(node, 'secrets', asked)
      case 'configmaps':
        return readNamespaced(node, 'configmaps', asked)
      case 'persistentvolumeclaims':
        return claim(node, asked)
      case 'persistentvolumes':
        return get(node, 'persistentvolumes', asked)
      case 'serviceaccounts':
        return serviceAccount(node, asked)
      case 'pods':
        return pod(node, asked)
      case 'nodes':
        return nodeObject(node, asked)
      case 'leases.coordination.k8s.io':
        return lease(node, asked)
      case 'csinodes.storage.k8s.io':
        return csiNode(node, asked)
      // Kinds by which Pods of the embedded cluster are bound to nothing: there is no way from them to a node.
      case 'volumeattachments.storage.k8s.io':
      case 'resourceclaims.resource.k8s.io':
      case 'resourceslices.resource.k8s.io':
        return denied(`no relationship found between node '${node}' and this object`)
      default:
        return undefined
    }
  }

  return {
    authorize(attributes) {
      const node = nodeOf(attributes.user)
      if (node === undefined) return undefined
      if (node === '') return denied(`unknown node for user ${JSON.stringify(attributes.user.username)}`)
      const decided = 'path' in attributes ? undefined : decide(node, attributes)
      return decided ?? (rules.some((rule) => ruleAllows(rule, attributes)) ? ALLOWED : NOTHING)
    },
    [Symbol.dispose]: () => graph[Symbol.dispose](),
  }
}

const ALLOWED: Decision = { allowed: true, reason: '' }
const NOTHING: Decision = { allowed: false, reason: '' }

function denied(reason: string): Decision {
  return { allowed: false, reason }
}

function isRead({ verb }: ResourceAttributes): boolean {
  return verb === 'get' || verb === 'list' || verb === 'watch'
}

/** Its name is compared, without a look at what is there: it reads its Node before there is one. */
function nodeObject(node: string, asked: ResourceAttributes): Decision {
  const { verb, subresource = '', name = '' } = asked
  const writes = verb === 'update' || verb === 'patch'
  if (subresource === 'status') return writes ? ALLOWED : NOTHING
  if (subresource !== '') return NOTHING
  if (verb === 'create' || writes) return ALLOWED
  if (!isRead(asked)) return NOTHING
  if (name === node) return ALLOWED
  return denied(
    name === ''
      ? `node '${node}' cannot read all nodes, only its own Node object`
      : `node '${node}' cannot read '${name}', only its own Node object`,
  )
}

const OWN_VERBS: ReadonlySet<string> = new Set(['get', 'create', 'update', 'patch', 'delete'])

function lease(node: string, { verb, namespace, name }: ResourceAttributes): Decision {
  if (!OWN_VERBS.has(verb)) return denied('can only get, create, update, patch, or delete a node lease')
  if (namespace !== NODE_LEASES) return denied(`can only access leases in the "${NODE_LEASES}" system namespace`)
  // Of what is created the name is not known yet.
  if (verb === 'create' || name === node) return ALLOWED
  return denied('can only access node lease with the same name as the requesting node')
}

function csiNode(node: string, { verb, subresource, name }: ResourceAttributes): Decision {
  if (!OWN_VERBS.has(verb)) return denied('can only get, create, update, patch, or delete a CSINode')
  if (subresource) return denied('cannot authorize CSINode subresources')
  if (verb === 'create' || name === node) return ALLOWED
  return denied('can only access CSINode with the same name as the requesting node')
}

function pinned(fieldSelector: string | undefined, field: string): string | undefined {
  try {
    return fieldSelector ? exactField(parseFieldTerms(fieldSelector), field) : undefined
  } catch {
    // The list itself will say what is wrong with it.
    return undefined
  }
}
