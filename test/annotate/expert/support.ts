/** An endpoint for every test, experts that ask it, and their end. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeEach } from 'vitest';
import {
  type EndpointOptions,
  type Expert,
  type ExpertRequest,
  openExpert,
} from '../../../src/annotate/expert/expert.ts';
import type { GristmillError } from '../../../src/errors.ts';
import { type ExpertServer, startExpertServer } from '../../support/expert-server.ts';

const root = mkdtempSync(join(tmpdir(), 'gristmill-expert-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));
export const KEY_VARIABLE = 'GRISTMILL_TEST_EXPERT_KEY';
export const KEY = 'sk-test-0123456789';

/** Of the test that runs. */
export let server: ExpertServer;
let experts: Expert[] = [];
let nFolders = 0;
export const folder = (): string => join(root, `cache-${nFolders++}`);

beforeEach(async () => {
  delete process.env['OPENAI_API_KEY'];
  await startAnew();
});
afterEach(async () => {
  for (const expert of experts) await expert.dispose();
  experts = [];
  await server.close();
  delete process.env[KEY_VARIABLE];
});

/** Another endpoint in the place of the one that was closed. */
export async function startAnew(): Promise<void> {
  server = await startExpertServer();
}

export async function open(
  options: Partial<EndpointOptions> & {
    cacheDir?: string;
    maxRequests?: number;
    maxTokens?: number;
    maxFailures?: number;
  } = {},
): Promise<Expert> {
  const expert = await openExpert({ url: server.url, model: 'm', backOffMs: 1, ...options });
  experts.push(expert);
  return expert;
}

export const ask = (user: string, changes: Partial<ExpertRequest> = {}): ExpertRequest => ({
  system: 'Be brief.',
  user,
  maxTokens: 10,
  ...changes,
});

export const failure = (promise: Promise<unknown>): Promise<GristmillError> =>
  promise.then(
    () => Promise.reject(new Error('it succeeded')),
    (error: GristmillError) => error,
  );
