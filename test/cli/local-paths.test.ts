import { existsSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { run } from './support.ts';

describe('paths on the command line', () => {
  // `--out s3://bucket/out` once made a local folder "s3:/bucket/out" and ended with 0.
  it.each([
    [
      ['refine', 'a.jsonl', '--out', 'gs://bucket/out'],
      /--out gs:\/\/bucket\/out: .*gcloud storage/,
    ],
    [['refine', 'a.jsonl', '--out', 'https://h/out'], /--out https:\/\/h\/out/],
    [['refine', 'gs://b/x', '--out', 'o'], /input gs:\/\/b\/x: .*gcloud storage cp/],
    [
      ['annotate', 'chunks', 'hf://datasets/o/n', '--way', 'gold', '--out', 'o'],
      /input hf:\/\/datasets\/o\/n: .*hf download/,
    ],
    [['refine', 'a.jsonl', '--out', 'o', '--system', 'https://x/y'], /--system https:\/\/x\/y/],
    [['show', 'gs://b/run'], /input gs:\/\/b\/run: .*gcloud storage cp/],
    [['inspect', 's3://b/run', '--judgements', 's3://b/j'], /--judgements s3:\/\/b\/j/],
    [['report', 's3://b/run', '--out', 's3://b/page.html'], /--out s3:\/\/b\/page.html/],
    [['compare', 'run', 'https://h/run'], /input https:\/\/h\/run/],
    [['refine', 'a.jsonl', '--out', 'o', '--reuse', 'gs://b/run'], /--reuse gs:\/\/b\/run/],
    [['annotate', 'documents', 'gs://b/x', '--out', 'o'], /input gs:\/\/b\/x/],
    [['train', 's3://b/config.yaml'], /input s3:\/\/b\/config\.yaml/],
    [['mix', 'predict', 's3://b/fit.json', '--mixtures', 'm.csv'], /input s3:\/\/b\/fit\.json/],
    [['continue', 'run', 'plan.yaml', '--out', 'az://c/o'], /--out az:\/\/c\/o: .*azcopy/],
  ])('%j is refused with a way out', async (args, message) => {
    const { code, stderr } = await run(args);
    expect(stderr).toMatch(/^gristmill: PATH_REMOTE: /);
    expect(stderr).toMatch(message);
    expect(code).toBe(1);
    expect(existsSync('s3:')).toBe(false);
  });
});
