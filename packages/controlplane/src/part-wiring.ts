/** How the parts of the control plane hear of changes, and do what these ask for. */
import {
  type AnyObject,
  type Client,
  createWorkqueue,
  type Informer,
  type Informers,
  type Workqueue,
  type WorkResult,
} from '@caisson/client'

export interface PartOptions {
  client: Client
  informers: Informers
  /** Records an event about an object; `component` is who says it. */
  record(
    component: string,
    object: AnyObject,
    event: { type: 'Normal' | 'Warning'; reason: string; message: string },
  ): void
  /** What went wrong and will be tried again. */
  onError(error: unknown, where: string): void
  signal: AbortSignal
}

/** What a part is given to work with. */
export interface PartWiring extends Omit<PartOptions, 'onError'> {
  now(): number
  /** What ends with the control plane. */
  stack: AsyncDisposableStack
  /** Passes over keys, one at a time unless said; `name` says in errors what they are. */
  queue(name: string, process: (key: string) => Promise<WorkResult | void>, concurrency?: number): Workqueue
  /** Calls at once for what is there: the queues that are filled come first. */
  on<T extends AnyObject>(
    informer: Informer<T>,
    changed: (object: T, old?: T) => void,
    gone?: (object: T) => void,
  ): void
}

export function createPartWiring({ onError, ...options }: PartOptions, stack: AsyncDisposableStack): PartWiring {
  return {
    ...options,
    now: () => Date.now(),
    stack,
    queue: (name, process, concurrency = 1) =>
      stack.use(createWorkqueue({ process, concurrency, onError: (error, key) => onError(error, `${name} ${key}`) })),
    on(informer, changed, gone) {
      stack.use(
        informer.handle({
          added: (object) => changed(object),
          updated: (old, object) => changed(object, old),
          deleted: (object) => gone?.(object),
        }),
      )
    },
  }
}
