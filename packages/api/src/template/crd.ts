import { type CustomResourceDefinition, extensionsCrd } from '../extensions-crd.ts'

let made: CustomResourceDefinition | undefined

/** The CustomResourceDefinition of SandboxTemplate, as in deploy/crds. */
export function templateCrd(): CustomResourceDefinition {
  made ??= extensionsCrd({
    schema: 'template',
    kind: 'SandboxTemplate',
    shortName: 'sandboxtemplate',
    description: 'What pools and claims make Sandboxes from.',
    spec: { description: 'What the Sandboxes are like.' },
  })
  return made
}
