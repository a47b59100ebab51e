/**
 * llama.cpp's own batched bench, built once from the same tree with the same CPU features as the addon.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { packageRoot } from '../../src/paths.ts';

const buildFolder = join(packageRoot, 'build');
const binary = join(buildFolder, 'Release', 'llama-batched-bench');

/** Shapes of one run: `nParallel` prompts of `nPrompt` tokens. */
export interface BatchedBenchShape {
  readonly model: string;
  readonly nPrompt: number;
  readonly nParallel: number;
  readonly nUbatch: number;
  readonly nThreads: number;
  /** `cpu`, or `cuda:<index>`. */
  readonly device: string;
}

/** Builds the bench inside the addon's build folder; returns why it cannot be had, or null. */
export function buildBatchedBench(log: (line: string) => void): string | null {
  if (existsSync(binary)) return null;
  const cache = join(buildFolder, 'CMakeCache.txt');
  if (!existsSync(cache)) return 'there is no CMake build folder';
  log('building llama.cpp’s batched bench from the same tree (some minutes, once)');
  // The cache was made through cmake-js; its own variables are in it.
  const steps = [
    ['-DGRISTMILL_BENCH=ON', buildFolder],
    [
      '--build',
      buildFolder,
      '--target',
      'llama-batched-bench',
      '-j',
      String(availableParallelism()),
    ],
  ];
  for (const args of steps) {
    const { status, stderr } = spawnSync('cmake', args, { encoding: 'utf8' });
    if (status !== 0) return `cmake failed: ${stderr.split('\n').slice(-3).join(' ')}`;
  }
  return existsSync(binary) ? null : 'cmake built no llama-batched-bench';
}

/** Prompt tokens per second of one run. */
export function runBatchedBench(shape: BatchedBenchShape): number {
  const { model, nPrompt, nParallel, nUbatch, nThreads, device } = shape;
  const args = [
    '-m',
    model,
    '-c',
    String((nPrompt + 24) * nParallel),
    '-b',
    '2048',
    '-ub',
    String(nUbatch),
  ];
  args.push('-npp', String(nPrompt), '-ntg', '1', '-npl', String(nParallel));
  args.push('-t', String(nThreads), '-tb', String(nThreads), '-fa', 'on', '--no-kv-unified');
  args.push('-ngl', device === 'cpu' ? '0' : '999');
  if (device === 'cpu') args.push('-dev', 'none');
  const { stdout, stderr, status } = spawnSync(binary, args, {
    encoding: 'utf8',
    maxBuffer: 2 ** 26,
  });
  // | PP | TG | B | N_KV | T_PP s | S_PP t/s | …
  const row = `${stdout}\n${stderr}`.split('\n').find((line) => /^\|\s+\d+ \|/.test(line));
  const rate = Number(row?.split('|')[6]);
  if (status !== 0 || !Number.isFinite(rate)) {
    throw new Error(`llama-batched-bench: ${stderr.split('\n').slice(-3).join(' ')}`);
  }
  return rate;
}

/** Tells builds of the addon apart. */
export function buildStamp(): string {
  const stamp = join(buildFolder, 'gristmill-stamp');
  return existsSync(stamp) ? readFileSync(stamp, 'utf8').slice(0, 16) : '?';
}
