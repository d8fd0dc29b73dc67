import { accessSync, constants, readFileSync } from 'node:fs'

/**
 * Why virtual machines cannot run here; undefined where they can. The processor says so: /dev/kvm may be there without
 * what it needs, where virtualisation is not passed on.
 */
export function virtualisationProblem(
  cpuInfo = readFileSync('/proc/cpuinfo', 'utf8'),
  device = '/dev/kvm',
): string | undefined {
  const isArm = /^CPU implementer/m.test(cpuInfo)
  const flags = /^flags\s*:(.*)$/m.exec(cpuInfo)?.[1] ?? ''
  if (!isArm && !/ (vmx|svm)\b/.test(flags))
    return 'the processor offers no hardware virtualisation (no vmx or svm flag)'
  try {
    accessSync(device, constants.R_OK | constants.W_OK)
    return undefined
  } catch (error) {
    return `${device} cannot be opened (${(error as NodeJS.ErrnoException).code})`
  }
}
