/** Starts the controllers of Jobs and CronJobs. */
import { planCronJob } from './plan-cron-job.ts'
import { planJob } from './plan-job.ts'
import { releaseOrphans } from './release-orphans.ts'
import { candidates, controlledBy, type Wiring } from './wiring.ts'

export function startJobs({ kinds, options, stack, start, follow }: Wiring): void {
  const { pods, jobs, cronJobs } = kinds
  const jobEngine = start({
    name: 'job-controller',
    informer: jobs,
    others: [pods],
    observe: (job, failures) => ({ job, pods: candidates(pods, job), failures }),
    plan: planJob,
  })
  follow(pods, jobs, jobEngine, ({ spec }) => spec?.selector)
  stack.use(releaseOrphans({ ...options, pods, jobs }))

  const cronJobEngine = start({
    name: 'cronjob-controller',
    informer: cronJobs,
    others: [jobs],
    observe: (cronJob, failures) => ({
      cronJob,
      jobs: controlledBy(jobs, cronJob.metadata),
      hasJob: (name: string) => jobs.get(`${cronJob.metadata.namespace}/${name}`) !== undefined,
      failures,
    }),
    plan: planCronJob,
  })
  follow(jobs, cronJobs, cronJobEngine)
}
