import { appendFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { RecordLog } from '../../src/train/record-log.ts';

const folder = mkdtempSync(join(tmpdir(), 'gristmill-record-log-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

it('goes on behind a step, without what came later or was cut off by a crash', () => {
  const file = join(folder, 'losses.jsonl');
  const first = new RecordLog<{ step: number; loss: number }>(file);
  first.resumeAt(0);
  for (const step of [1, 2, 2, 3]) first.add({ step, loss: 1 / step });
  first.sync();
  appendFileSync(file, '{"step":4,"lo');
  const second = new RecordLog<{ step: number; loss: number }>(file);
  second.resumeAt(2);
  expect(second.records).toEqual([
    { step: 1, loss: 1 },
    { step: 2, loss: 0.5 },
    { step: 2, loss: 0.5 },
  ]);
  second.add({ step: 3, loss: 9 });
  expect(readFileSync(file, 'utf8').split('\n')).toEqual([
    '{"step":1,"loss":1}',
    '{"step":2,"loss":0.5}',
    '{"step":2,"loss":0.5}',
    '{"step":3,"loss":9}',
    '',
  ]);
  second.resumeAt(0);
  expect([second.records, readFileSync(file, 'utf8')]).toEqual([[], '']);
});
