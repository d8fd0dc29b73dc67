/** What a dialect is: a flat kind, the canonical kinds that stand for it, and the translation between them. */
import {
  AGENTS_GROUP,
  type CanonicalPool,
  type FlatClaim,
  type FlatPool,
  type FlatTemplate,
  type KubeObject,
  returnClaim,
  returnPool,
  type SandboxClaimSpec,
  type SandboxTemplateSpec,
  type SandboxWarmPoolSpec,
  type Translation,
  translateClaim,
  translatePool,
  withoutTemplateDefaults,
} from '@caisson/api'
import {
  type AnyObject,
  defineResource,
  type Resource,
  sandboxClaims,
  sandboxTemplates,
  sandboxWarmPools,
} from '@caisson/client'

export type FlatObject = FlatTemplate | FlatClaim | FlatPool
export type CanonicalObject = KubeObject & { spec: object; status?: object }

/** Specs of the canonical objects: of the one that stands for the flat one, and of one that it needs besides. */
export interface CanonicalSpecs {
  main: object
  template?: object | undefined
}

export interface Dialect<F extends FlatObject = FlatObject> {
  flat: Resource<F>
  main: Resource<CanonicalObject>
  /** Whether the kind has a condition Ready. */
  hasReady: boolean
  /** Only pools have one, which bears their name. */
  template?: Resource<CanonicalObject>
  translate(flat: F): Translation<CanonicalSpecs>
  /** The spec of the flat object that means what the canonical ones say now. */
  takeBack(flat: F, specs: CanonicalSpecs): object
  /** The spec without what a server adds by itself where nothing is said. */
  plain(slot: keyof CanonicalSpecs, spec: object): object
}

const flatResource = <F extends AnyObject>(kind: F['kind'], plural: string): Resource<F> =>
  defineResource<F>({ group: AGENTS_GROUP, version: 'v1alpha1', plural, kind, namespaced: true })

const canonical = (resource: Resource): Resource<CanonicalObject> => resource as Resource<CanonicalObject>

export const TEMPLATE_DIALECT: Dialect<FlatTemplate> = {
  flat: flatResource<FlatTemplate>('SandboxTemplate', 'sandboxtemplates'),
  main: canonical(sandboxTemplates),
  hasReady: false,
  translate: ({ spec }) => ({ canonical: { main: spec }, ignored: [] }),
  takeBack: (_flat, { main }) => main,
  plain: (_slot, spec) => withoutTemplateDefaults(spec as SandboxTemplateSpec),
}

export const CLAIM_DIALECT: Dialect<FlatClaim> = {
  flat: flatResource<FlatClaim>('SandboxClaim', 'sandboxclaims'),
  main: canonical(sandboxClaims),
  hasReady: true,
  translate: (flat) => asMain(translateClaim(flat)),
  takeBack: (flat, { main }) => returnClaim(flat, main as SandboxClaimSpec),
  plain: (_slot, spec) => spec,
}

export const POOL_DIALECT: Dialect<FlatPool> = {
  flat: flatResource<FlatPool>('SandboxWarmPool', 'sandboxwarmpools'),
  main: canonical(sandboxWarmPools),
  hasReady: true,
  template: canonical(sandboxTemplates),
  translate(flat) {
    const translation = translatePool(flat)
    if ('problem' in translation) return translation
    const { pool: main, template } = translation.canonical
    return { ...translation, canonical: { main, template } }
  },
  takeBack(flat, { main, template }) {
    // A server says `replicas` of each pool: that is nobody's wish.
    const pool = flat.spec.replicas === undefined ? POOL_DIALECT.plain('main', main) : main
    return returnPool(flat, { pool, template } as CanonicalPool)
  },
  plain(slot, spec) {
    if (slot === 'template') return withoutTemplateDefaults(spec as SandboxTemplateSpec)
    const { replicas, ...rest } = spec as SandboxWarmPoolSpec
    return replicas === undefined || replicas === 1 ? rest : spec
  },
}

function asMain<T extends object>(translation: Translation<T>): Translation<CanonicalSpecs> {
  if ('problem' in translation) return translation
  return { ...translation, canonical: { main: translation.canonical } }
}
