import { expect, test } from 'vitest'
import { virtualisationProblem } from './hardware.ts'

const NONE = 'the processor offers no hardware virtualisation (no vmx or svm flag)'

test.each([
  ['Intel, passed on', 'flags\t\t: fpu vmx sse\n', '/dev/null', undefined],
  ['AMD, passed on', 'flags\t\t: fpu sse svm\n', '/dev/null', undefined],
  ['a device that leads nowhere', 'flags\t\t: fpu sse\n', '/dev/null', NONE],
  ['a flag that only begins so', 'flags\t\t: fpu svm_lock vmxx\n', '/dev/null', NONE],
  ['no device', 'flags\t\t: fpu vmx\n', '/dev/not-there', '/dev/not-there cannot be opened (ENOENT)'],
  ['an Arm processor, which says nothing of it', 'CPU implementer\t: 0x41\n', '/dev/null', undefined],
])('%s', (_name, cpuInfo, device, expected) => {
  expect(virtualisationProblem(cpuInfo, device)).toBe(expected)
})
