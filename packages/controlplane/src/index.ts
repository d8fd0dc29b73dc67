export { type ControlPlaneOptions, startControlPlane } from './control-plane.ts'
export { PROVISIONER } from './volumes/plan-claim.ts'
