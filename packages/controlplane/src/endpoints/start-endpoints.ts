import { type AnyObject, keyOf, type PodObject, resources } from '@caisson/client'
import type { PartWiring } from '../part-wiring.ts'
import { BY_LABEL, endpointChanged, labelPairs, reconcileService, serviceOfSlice } from './reconcile-slices.ts'

const SERVICES_AT_A_TIME = 4

/** Keeps the EndpointSlices and Endpoints of Services. A Pod's labels name the few Services that may select it. */
export function startEndpoints({ client, informers, signal, queue, on }: PartWiring): void {
  const services = informers.of(resources.services)
  const serviceQueue = queue(
    'endpoints of',
    (key) => reconcileService(key, { client, informers, signal }),
    SERVICES_AT_A_TIME,
  )
  const selecting = (pod: PodObject): void => {
    for (const pair of labelPairs(pod))
      for (const each of services.byIndex(BY_LABEL, pair)) serviceQueue.add(keyOf(each))
  }
  const sameName = (object: AnyObject): void => serviceQueue.add(keyOf(object))
  const sliceChanged = (slice: AnyObject): void => {
    for (const key of serviceOfSlice(slice)) serviceQueue.add(key)
  }
  on(services, sameName, sameName)
  on(
    informers.of(resources.pods),
    (pod, old) => {
      if (old && !endpointChanged(old, pod)) return
      if (old) selecting(old)
      selecting(pod)
    },
    selecting,
  )
  on(informers.of(resources.endpointSlices), sliceChanged, sliceChanged)
  on(informers.of(resources.endpoints), sameName, sameName)
}
