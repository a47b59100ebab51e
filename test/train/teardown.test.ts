import { spawnSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { addonFile } from '../../src/paths.ts';
import { tinyOptions } from './trainer-support.ts';

// The addon alone, without TypeScript: what is tested is the end of an environment that still trains.
const body = `
  const { Trainer } = require(${JSON.stringify(addonFile)});
  const { shape, ...rest } = ${JSON.stringify(tinyOptions)};
  const trainer = new Trainer({ ...rest, shape, device: 'cpu' });
  const tokens = new Int32Array(22);
  const batch = { tokens, positions: Int32Array.of(1, 2), labels: Int32Array.of(3, 4) };
  const steps = Array.from({ length: 50000 }, () => ({ batches: [batch], lr: 0.001 }));
  trainer.open().then(() => { trainer.steps(steps, 1).catch(() => {}); leave(); });
`;

const run = (script: string) =>
  spawnSync(process.execPath, ['-e', script], { encoding: 'utf8', timeout: 50_000 });

describe('a trainer that nobody disposed', () => {
  // process.exit() runs no cleanup hook: threads that went on computing met destroyed objects (SIGSEGV).
  it('ends with its process in the middle of a call', () => {
    const { status, stderr } = run(`const leave = () => process.exit(7);${body}`);
    expect([status, stderr]).toEqual([7, '']);
  });

  it('ends with its worker thread in the middle of a call', () => {
    const worker = `const leave = () => require('node:worker_threads').parentPort.postMessage(0);${body}`;
    const { status, stderr } = run(`
      const { Worker } = require('node:worker_threads');
      const worker = new Worker(${JSON.stringify(worker)}, { eval: true });
      worker.on('message', async () => { await worker.terminate(); process.exit(8); });
    `);
    expect([status, stderr]).toEqual([8, '']);
  });
});
