import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createHeldBytes } from './held-bytes.ts'

test('what is held is never more than the bound, and all of it is given back', () => {
  const sizes = fc.array(fc.tuple(fc.nat(3), fc.nat(60), fc.boolean()))
  fc.assert(
    fc.property(sizes, (steps) => {
      const hold = createHeldBytes(100, 100)
      const requests = Array.from({ length: 4 }, () => ({ held: hold('one'), size: 0 }))
      const total = (): number => requests.reduce((sum, { size }) => sum + size, 0)
      for (const [index, bytes, ends] of steps) {
        const request = requests[index] as (typeof requests)[number]
        if (ends) {
          request.held[Symbol.dispose]()
          request.size = 0
        } else if (total() + bytes > 100) expect(() => request.held.add(bytes)).toThrow('try again')
        else {
          request.held.add(bytes)
          request.size += bytes
        }
      }
      for (const { held } of requests) held[Symbol.dispose]()
      hold('one').add(100)
    }),
  )
})
