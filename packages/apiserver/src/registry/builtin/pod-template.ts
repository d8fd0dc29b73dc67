/** The template of Pods inside of another kind: its defaults, what is asked of it, what is warned about. */
import { type LabelSelector as ApiSelector, type KubeObject, selects } from '@caisson/api'
import type { Pod, PodTemplateSpec } from 'kubernetes-types/core/v1.js'
import type { FieldError } from '../../status-error.ts'
import { forbidden, invalidValue, notSupported, renamed, required } from '../field-error.ts'
import { dns1123Label, labelValueErrors } from '../names.ts'
import { type LabelSelector, validateAnnotations, validateLabelSelector, validateLabels } from '../object-meta.ts'
import type { Strategy } from '../resource.ts'
import { deepEqual } from './deep-equal.ts'
import { dropDisabledSpecFields } from './pod.ts'
import { applyPodSpecDefaults } from './pod-defaults.ts'
import { validatePodSpec } from './pod-spec.ts'
import { podWarnings } from './pod-warnings.ts'

/** Of PodTemplates, which stand by themselves. */
export const podTemplateStrategy: Strategy = {
  returnsDeleted: true,
  defaults: (object) => applyTemplateDefaults(templateOf(object)),
  prepareForCreate: (object) => dropDisabledTemplateFields(templateOf(object)),
  prepareForUpdate: (next) => dropDisabledTemplateFields(templateOf(next)),
  validate: validateTemplateObject,
  validateUpdate: validateTemplateObject,
  warnings(object, current) {
    if (current && deepEqual(object['template'], current['template'])) return []
    return templateWarnings(templateOf(object), 'template')
  },
}

function templateOf(object: KubeObject): PodTemplateSpec | undefined {
  return object['template'] as PodTemplateSpec | undefined
}

function validateTemplateObject(object: KubeObject): FieldError[] {
  const errors: FieldError[] = []
  validatePodTemplate(templateOf(object) ?? {}, 'template', errors)
  return errors
}

export function applyTemplateDefaults(template: PodTemplateSpec | undefined): void {
  if (template?.spec) applyPodSpecDefaults(template.spec)
}

export function dropDisabledTemplateFields(template: PodTemplateSpec | undefined): void {
  if (template?.spec) dropDisabledSpecFields(template.spec)
}

/** @param path of the template: `spec.template` */
export function validatePodTemplate(template: PodTemplateSpec, path: string, errors: FieldError[]): void {
  validateLabels(template.metadata?.labels, `${path}.labels`, errors)
  validateAnnotations(template.metadata?.annotations, `${path}.annotations`, errors)
  const pod = { metadata: { annotations: template.metadata?.annotations }, spec: template.spec ?? {} } as Pod
  for (const error of validatePodSpec(pod)) errors.push(renamed(error, insideTemplate(error.field, path)))
  if (template.spec?.ephemeralContainers?.length) {
    errors.push(forbidden(`${path}.spec.ephemeralContainers`, 'ephemeral containers not allowed in pod template'))
  }
}

function insideTemplate(field: string, path: string): string {
  return `${path}.${field.replace(/^metadata\./, '')}`
}

/** What kinds ask whose Pods run for ever. */
export function validateRunsForEver(
  template: PodTemplateSpec,
  { path, kind }: { path: string; kind: string },
  errors: FieldError[],
): void {
  const policy = template.spec?.restartPolicy ?? ''
  if (policy !== 'Always') errors.push(notSupported(`${path}.spec.restartPolicy`, policy, ['Always']))
  if (template.spec?.activeDeadlineSeconds !== undefined) {
    const said = `activeDeadlineSeconds in ${kind} is not Supported`
    errors.push(forbidden(`${path}.spec.activeDeadlineSeconds`, said))
  }
}

/**
 * The selector of a kind that makes Pods: there, valid and not empty. Returns whether it can select anything.
 *
 * @param kind as the message about an empty one names it
 */
export function validateOwnSelector(selector: LabelSelector | undefined, kind: string, errors: FieldError[]): boolean {
  if (!selector) {
    errors.push(required('spec.selector'))
    return true
  }
  validateLabelSelector(selector, 'spec.selector', errors)
  if (isEmptySelector(selector)) {
    errors.push(invalidValue('spec.selector', printedSelector(selector), `empty selector is invalid for ${kind}`))
  }
  return isUsable(selector)
}

export function validateSelectorUnchanged(
  next: object | undefined,
  current: object | undefined,
  errors: FieldError[],
): void {
  if (deepEqual(next, current)) return
  errors.push(invalidValue('spec.selector', next ? printedSelector(next) : null, 'field is immutable'))
}

export function isEmptySelector({ matchLabels = {}, matchExpressions = [] }: LabelSelector): boolean {
  return Object.keys(matchLabels).length + matchExpressions.length === 0
}

/** Whether apimachinery can make a selector of it at all. */
export function isUsable(selector: LabelSelector | undefined): boolean {
  if (!selector) return true
  const errors: FieldError[] = []
  validateLabelSelector(selector, '', errors)
  const values = Object.values(selector.matchLabels ?? {})
  return errors.length === 0 && values.every((value) => labelValueErrors(value).length === 0)
}

/** As Go prints the struct. */
export function printedSelector({ matchLabels, matchExpressions }: LabelSelector): object {
  return {
    ...(matchLabels && Object.keys(matchLabels).length > 0 && { matchLabels: sortedKeys(matchLabels) }),
    ...(matchExpressions?.length && {
      matchExpressions: matchExpressions.map(({ key, operator, values }) => ({
        key,
        operator,
        ...(values?.length && { values }),
      })),
    }),
  }
}

export function validateSelectorMatches(
  selector: LabelSelector | undefined,
  labels: Readonly<Record<string, string>> | undefined,
  path: string,
  errors: FieldError[],
): void {
  if (selector && isEmptySelector(selector)) return
  // None selects nothing, these labels neither.
  if (selects(selector as ApiSelector | undefined, labels)) return
  const said = '`selector` does not match template `labels`'
  errors.push(invalidValue(`${path}.metadata.labels`, labels ? sortedKeys(labels) : null, said))
}

/** As Go prints a map. */
export function sortedKeys(map: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(map).sort(([a], [b]) => (a < b ? -1 : 1)))
}

/** What is warned about when a template is new or has changed. */
export function templateWarnings(template: PodTemplateSpec | undefined, path: string): string[] {
  return template?.spec ? podWarnings(template, `${path}.`) : []
}

export function podNameWarnings(name: string): string[] {
  const said = dns1123Label(name)
  if (said.length === 0) return []
  return [
    `metadata.name: this is used in Pod names and hostnames, which can result in surprising behavior; a DNS label is recommended: [${said.join(' ')}]`,
  ]
}
