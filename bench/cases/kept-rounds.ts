/**
 * Rounds of a bench that outlive its process: a run that is cut goes on where it was, with the same contenders in turn.
 *
 * They lie in one file of the cache, a line a round, as long as nothing that they depend on has changed; a case that is finished
 * removes what is its own.
 */
import { appendFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { cacheFolder } from '../../src/paths.ts';
import type { BenchContext } from '../types.ts';

/** Rounds of one case under one setting. */
export interface KeptRounds {
  /** What `measure` gave in an earlier run, else what it gives now. JSON. */
  round<Value>(
    contender: string,
    index: number,
    measure: () => Value | Promise<Value>,
  ): Promise<Value>;
  /** Forgets them: the next run measures anew. */
  finish(): void;
}

/** @param setting what the rounds depend on: sizes, device, the build */
export function keptRounds(
  name: string,
  setting: object,
  { log }: BenchContext,
  file = join(cacheFolder(), 'bench', `rounds-${name}.jsonl`),
): KeptRounds {
  const own = JSON.stringify(setting);
  const kept = new Map<string, unknown>();
  const others: string[] = [];
  if (existsSync(file)) {
    for (const line of readFileSync(file, 'utf8').split('\n')) {
      const read = parsed(line);
      if (!read) continue;
      if (read.setting === own) kept.set(read.key, read.value);
      else others.push(line);
    }
  }
  if (kept.size > 0) log(`${kept.size} rounds of an earlier run are kept (${file})`);
  return {
    async round(contender, index, measure) {
      const key = `${contender} ${index}`;
      if (kept.has(key)) return kept.get(key) as Awaited<ReturnType<typeof measure>>;
      const value = await measure();
      mkdirSync(join(file, '..'), { recursive: true });
      appendFileSync(file, `${JSON.stringify({ setting: own, key, value })}\n`);
      kept.set(key, value);
      return value;
    },
    finish() {
      kept.clear();
      if (existsSync(file)) writeFileSync(file, others.map((line) => `${line}\n`).join(''));
    },
  };
}

/** A line; null for one that was cut. */
function parsed(line: string): { setting: string; key: string; value: unknown } | null {
  try {
    return JSON.parse(line) as { setting: string; key: string; value: unknown };
  } catch {
    return null;
  }
}
