import type { PodObject } from '@caisson/client'
import { jsonEqual } from '../pods/json-equal.ts'
import { specOf } from '../pods/observed-pod.ts'

/** Whether files in volumes of the Pod say what has changed of its labels and annotations. */
export function shownMetadataChanged(old: PodObject, pod: PodObject): boolean {
  return isShown(pod) && !jsonEqual(changeable(old), changeable(pod))
}

/** Whether files in volumes of the Pod tell of the Pod itself. */
export function isShown(pod: PodObject): boolean {
  return (specOf(pod).volumes ?? []).some(
    ({ downwardAPI, projected }) => downwardAPI || projected?.sources?.some((source) => source.downwardAPI),
  )
}

function changeable({ metadata: { labels, annotations } }: PodObject): object {
  return { labels, annotations }
}
