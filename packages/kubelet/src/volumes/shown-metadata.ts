import type { PodObject } from '@caisson/client'
import { jsonEqual } from '../pods/json-equal.ts'
import { specOf } from '../pods/observed-pod.ts'

/** Whether files in volumes of the Pod say what has changed of it: its labels and annotations are all that can. */
export function shownMetadataChanged(old: PodObject, pod: PodObject): boolean {
  const isShown = (specOf(pod).volumes ?? []).some(
    ({ downwardAPI, projected }) => downwardAPI || projected?.sources?.some((source) => source.downwardAPI),
  )
  return isShown && !jsonEqual(changeable(old), changeable(pod))
}

function changeable({ metadata: { labels, annotations } }: PodObject): object {
  return { labels, annotations }
}
