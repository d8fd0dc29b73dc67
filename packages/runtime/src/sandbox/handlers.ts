import type { RuntimeHandler, ShimHandler } from '../runtime.ts'
import type { ShimName } from '../tools/tools.ts'

/** The first of the programs that is there. */
export const SHIMS: Record<ShimHandler, { programs: readonly ShimName[]; isVirtual: boolean }> = {
  'runc-v2': { programs: ['containerd-shim-runc-v2'], isVirtual: false },
  kata: { programs: ['containerd-shim-kata-v2'], isVirtual: true },
  'kata-fc': { programs: ['containerd-shim-kata-fc-v2'], isVirtual: true },
}

export function isShim(handler: RuntimeHandler): handler is ShimHandler {
  return handler in SHIMS
}

/** Whether a sandbox of it is a virtual machine: what is in it has no process of this machine. */
export function isVirtual(handler: RuntimeHandler): boolean {
  return isShim(handler) && SHIMS[handler].isVirtual
}

/** Whether containerd's annotations tell it which containers share a sandbox. */
export function isGrouped(handler: RuntimeHandler): boolean {
  return handler === 'runsc' || isShim(handler)
}
