/** Wires dialects to caches: a change of either object has the pair looked at, which is found by its name. */
import { type AnyObject, type Client, type Informer, type Informers, keyOf } from '@caisson/client'
import { createEngine, type Engine, type EngineOptions } from '../engine/engine.ts'
import {
  type CanonicalObject,
  CLAIM_DIALECT,
  type Dialect,
  type FlatObject,
  POOL_DIALECT,
  TEMPLATE_DIALECT,
} from './dialect.ts'
import { planDialect } from './plan-dialect.ts'

export interface DialectOptions extends EngineOptions {
  client: Client
}

type Running = AsyncDisposable & Pick<Engine, 'idle'>

/**
 * Starts the dialect of a kind when its caches have synced, which is never where the cluster does not serve it.
 *
 * @param signal gives that up
 */
async function startDialect<F extends FlatObject>(
  dialect: Dialect<F>,
  informers: Informers,
  { signal, ...options }: DialectOptions & { signal: AbortSignal },
): Promise<Running> {
  const flats = informers.of(dialect.flat)
  const mains = informers.of(dialect.main)
  const templates = dialect.template && informers.of(dialect.template)
  const others: Informer<CanonicalObject>[] = templates ? [mains, templates] : [mains]
  await Promise.all([flats, ...others].map((informer) => informer.synced(signal)))
  const engine = createEngine<F, Parameters<typeof planDialect<F>>[1]>(
    {
      name: `flat-${dialect.main.kind.toLowerCase()}`,
      informer: flats,
      others,
      observe: (flat, failures) => ({
        flat,
        main: mains.get(keyOf(flat)),
        template: templates?.get(keyOf(flat)),
        failures,
      }),
      plan: (observed, now) => planDialect(dialect, observed, now),
    },
    options,
  )
  const enqueue = (object: AnyObject): void => {
    const key = keyOf(object)
    if (flats.get(key)) engine.enqueue(key)
  }
  const handler = { added: enqueue, updated: (_old: AnyObject, object: AnyObject) => enqueue(object), deleted: enqueue }
  const handlers = [flats.handle(handler), ...others.map((informer) => informer.handle(handler))]
  return {
    idle: () => engine.idle(),
    async [Symbol.asyncDispose]() {
      for (const each of handlers) each[Symbol.dispose]()
      await engine[Symbol.asyncDispose]()
    },
  }
}

/** Returns at once; each kind's dialect starts when the cluster serves it. */
export function startDialects(
  informers: Informers,
  optionsOf: (name: string) => DialectOptions,
  onError: (error: unknown, where: string) => void,
): Running {
  const stop = new AbortController()
  const running: Running[] = []
  const begin = async <F extends FlatObject>(dialect: Dialect<F>): Promise<void> => {
    const name = `flat ${dialect.main.kind}`
    try {
      running.push(await startDialect(dialect, informers, { ...optionsOf(name), signal: stop.signal }))
    } catch (error) {
      if (!stop.signal.aborted) onError(error, `starting the dialect of ${name}`)
    }
  }
  const started = Promise.all([begin(TEMPLATE_DIALECT), begin(CLAIM_DIALECT), begin(POOL_DIALECT)])
  return {
    async idle() {
      await Promise.all(running.map((each) => each.idle()))
    },
    async [Symbol.asyncDispose]() {
      stop.abort(new Error('the controllers were stopped'))
      await started
      await Promise.all(running.map((each) => each[Symbol.asyncDispose]()))
    },
  }
}
