import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['src/**/*.test.ts', 'test/**/*.test.ts', 'testing/**/*.test.ts'],
    globalSetup: ['test/support/global-setup.ts'],
    pool: 'forks',
    // The machine this is sized for has two cores; suites wait for servers, timeouts and intervals half of the time.
    maxWorkers: 6,
    // These end what hangs. On a busy machine, all that a test waits for takes many times as long, and still comes.
    testTimeout: 600_000,
    hookTimeout: 600_000,
    expect: { poll: { timeout: 300_000, interval: 50 } },
    // A suite that is empty or left out must not look like one that passed.
    passWithNoTests: false,
    allowOnly: false,
  },
});
