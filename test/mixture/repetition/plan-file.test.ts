import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import {
  readRepetitionPlan,
  repetitionPlan,
  writeRepetitionPlan,
} from '../../../src/mixture/repetition/plan-file.ts';

const folder = mkdtempSync(join(tmpdir(), 'gristmill-repetition-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('plans of repetition', () => {
  it('are read as they were written; domains without tokens are never repeated', async () => {
    const domains = [{ name: 'train_web', tokens: 5e9 }, { name: 'code' }];
    const plan = repetitionPlan(domains, 2e12);
    expect(plan.domains).toEqual([
      { name: 'web', tokens: 5e9 },
      { name: 'code', tokens: null },
    ]);
    const file = join(folder, 'plan.json');
    await writeRepetitionPlan(file, plan);
    expect(readRepetitionPlan(file)).toEqual(plan);
  });

  it('refuses other files by what is wrong with them', () => {
    const file = join(folder, 'bad.json');
    const refused = (text: string) => {
      writeFileSync(file, text);
      return expect(() => readRepetitionPlan(file));
    };
    refused('{"format":1,"targetTokens":0,"domains":[{"name":"a","tokens":1}]}').toThrowError(
      /bad\.json.*targetTokens/,
    );
    const twice = '[{"name":"a","tokens":1},{"name":"train_a","tokens":null}]';
    refused(`{"format":1,"targetTokens":9,"domains":${twice}}`).toThrowError(
      /train_a is there twice/,
    );
    refused('nothing').toThrowError(/MIXTURE_DOMAINS_INVALID|bad\.json/);
  });
});
