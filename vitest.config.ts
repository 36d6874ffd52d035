import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['src/**/*.test.ts', 'test/**/*.test.ts', 'testing/**/*.test.ts'],
    globalSetup: ['test/support/global-setup.ts'],
    pool: 'forks',
    // The machine this is sized for has two cores; suites wait for servers, timeouts and intervals half of the time.
    maxWorkers: 3,
    testTimeout: 120_000,
    hookTimeout: 120_000,
    // A suite that is empty or left out must not look like one that passed.
    passWithNoTests: false,
    allowOnly: false,
  },
});
