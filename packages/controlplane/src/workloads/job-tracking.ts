/** The finalizer that holds a Pod of a Job until its end has been counted. */
export const TRACKING = 'batch.kubernetes.io/job-tracking'
