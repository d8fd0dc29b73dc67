import type { KubeObject } from '@caisson/api'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createClient } from './client.ts'
import { createInformer } from './informer.ts'
import { converged, record, timing, useModelServers, versions, widgets } from './testing/model-fixture.ts'

const fixture = useModelServers()
const { serve } = fixture

test('ends as the server is, whatever happened on the way', async () => {
  const name = fc.constantFrom('a', 'b', 'c')
  const step = fc.oneof(
    fc.record({ do: fc.constant('create' as const), name, observe: fc.boolean() }),
    fc.record({ do: fc.constant('update' as const), name, observe: fc.boolean() }),
    fc.record({ do: fc.constant('delete' as const), name, observe: fc.boolean() }),
    fc.record({
      do: fc.constant('cut' as const),
      how: fc.constantFrom('end' as const, 'reset' as const, 'half' as const),
    }),
    fc.record({ do: fc.constant('compact' as const) }),
    fc.record({ do: fc.constant('bookmark' as const), behind: fc.nat(4) }),
    fc.record({
      do: fc.constant('fail' as const),
      codes: fc.array(fc.constantFrom(0, 401, 403, 404, 410, 429, 500), { maxLength: 4 }),
    }),
    fc.record({
      do: fc.constant('say' as const),
      text: fc.constantFrom('}{\n', '{"type":"ERROR","object":{"kind":"Status","code":410}}\n'),
    }),
    fc.record({ do: fc.constant('recall' as const), index: fc.nat(30) }),
    fc.record({ do: fc.constant('turn' as const), turns: fc.integer({ min: 1, max: 6 }) }),
  )
  await fc.assert(
    fc.asyncProperty(
      fc.boolean(),
      fc.boolean(),
      fc.array(step, { maxLength: 40 }),
      async (streamedLists, refusesExpired, steps) => {
        const model = serve({ streamedLists, refusesExpired })
        const informer = createInformer(createClient(fixture.transport), widgets, { timing })
        const { state, broken } = record(informer)
        const answers: { object: KubeObject; deletion: boolean }[] = []
        const observe = ({ object, deletion }: { object: KubeObject; deletion: boolean }) =>
          deletion ? informer.observeDeletion(structuredClone(object)) : informer.observe(structuredClone(object))
        try {
          for (const each of steps) {
            if (each.do === 'create' || each.do === 'update' || each.do === 'delete') {
              const object = model[each.do](each.name)
              if (!object) continue
              const answer = { object, deletion: each.do === 'delete' }
              answers.push(answer)
              if (each.observe) observe(answer)
            } else if (each.do === 'cut') model.cut(each.how)
            else if (each.do === 'compact') model.compact()
            else if (each.do === 'bookmark') model.bookmark(each.behind)
            else if (each.do === 'fail') model.failNext(each.codes)
            else if (each.do === 'say') model.say(each.text)
            else if (each.do === 'recall') {
              // An answer that took its time: by now it may be about something long gone.
              const answer = answers[each.index % Math.max(1, answers.length)]
              if (answer) observe(answer)
            } else for (let turn = 0; turn < each.turns; turn++) await new Promise((resolve) => setImmediate(resolve))
          }
          await informer.synced()
          // Where this one is known, everything before it is: without it an empty state would equal one not yet heard of.
          model.create('last')
          await converged(informer, model)
          // Every answer once more, far too late.
          for (const answer of answers) if (!answer.deletion) observe(answer)
          expect(versions(informer.list())).toEqual(versions(Object.values(model.state())))
          expect(versions(Object.values(state))).toEqual(versions(informer.list()))
          expect(broken).toEqual([])
        } finally {
          model.failNext([])
          await informer[Symbol.asyncDispose]()
          await fixture.transport[Symbol.asyncDispose]()
        }
      },
    ),
    { numRuns: 60 },
  )
})
