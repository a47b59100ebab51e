import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // Engines and workers are tested as processes and threads of their own: forks keep a crash in its file.
    pool: 'forks',
    maxWorkers: 2,
    // Sized for a machine whose cores are busy with something else too.
    testTimeout: 300_000,
    hookTimeout: 300_000,
  },
});
