import { defineConfig } from 'vitest/config'

/** What fills the machine on purpose, or is about how long something takes. */
const ALONE = ['test/isolation/{datagrams,exhaustion}.test.ts', 'test/e2e/{full-disk,operator-faults}.test.ts']

// Unit tests sit beside the sources; everything that starts a cluster or containers comes afterwards. Most of it waits more
// than it computes, for what has to be of its own kind anyway: two machines' worth of clusters that get on with each other.
export default defineConfig({
  test: {
    reporters: ['default', './test/checks/count-reporter.ts'],
    testTimeout: 30_000,
    hookTimeout: 60_000,
    // A wait ends with what it waits for, or with its test: not after the second that is the default here.
    expect: { poll: { timeout: 25_000 } },
    projects: [
      {
        extends: true,
        test: {
          name: 'unit',
          include: ['packages/*/src/**/*.test.ts', 'test/{checks,history}/*.test.ts'],
          exclude: ['**/*.node.test.ts'],
          maxWorkers: 2,
          sequence: { groupOrder: 0 },
        },
      },
      {
        extends: true,
        // Real runsc, real mounts and network namespaces: needs root.
        test: {
          name: 'node',
          include: ['packages/*/src/**/*.node.test.ts'],
          maxWorkers: 2,
          testTimeout: 60_000,
          sequence: { groupOrder: 1 },
        },
      },
      {
        extends: true,
        test: {
          name: 'e2e',
          include: ['test/{conformance,e2e,isolation}/**/*.test.ts'],
          exclude: ALONE,
          maxWorkers: 2,
          testTimeout: 120_000,
          hookTimeout: 180_000,
          sequence: { groupOrder: 2 },
        },
      },
      {
        extends: true,
        test: {
          name: 'alone',
          include: ALONE,
          maxWorkers: 1,
          testTimeout: 120_000,
          hookTimeout: 180_000,
          sequence: { groupOrder: 3 },
        },
      },
    ],
  },
})
