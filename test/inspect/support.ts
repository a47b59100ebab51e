/** Runs to look at, and a client that sends what a browser would, or what it would not. */
import { mkdtempSync, rmSync } from 'node:fs';
import { type IncomingHttpHeaders, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { refineCorpus } from '../../src/refine/run.ts';
import type { RefineCorpusOptions } from '../../src/refine/run-options.ts';

export const EXAMPLE = join(import.meta.dirname, '../../examples/corpus.parquet');

/** A folder that is removed by `remove`. */
export function temporaryFolder() {
  const folder = mkdtempSync(join(tmpdir(), 'gristmill-inspect-'));
  return { folder, remove: () => rmSync(folder, { recursive: true, force: true }) };
}

/** Refines with the default refiners, in this process. */
export async function refined(
  input: string,
  out: string,
  options: Partial<RefineCorpusOptions> = {},
): Promise<string> {
  const here = { isolate: false, threads: 1, workers: 1 };
  await refineCorpus({ inputs: [input], out, idColumn: 'id', ...here, ...options });
  return out;
}

/** An answer. */
export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/** A request with exactly these headers and this path. */
export function send(
  port: number,
  path: string,
  {
    method = 'GET',
    headers = {},
    body,
  }: { method?: string; headers?: Record<string, string>; body?: string } = {},
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const sent = request(
      { host: '127.0.0.1', port, path, method, headers: { host: `127.0.0.1:${port}`, ...headers } },
      (response) => {
        const parts: Buffer[] = [];
        response.on('data', (part) => parts.push(part));
        response.on('end', () => {
          const text = Buffer.concat(parts).toString();
          resolve({ status: response.statusCode!, headers: response.headers, body: text });
        });
      },
    );
    sent.on('error', reject);
    sent.end(body);
  });
}

/** Asks as the page does. */
export function clientOf({ url, port }: { readonly url: string; readonly port: number }) {
  const token = new URL(url).pathname;
  const origin = `http://127.0.0.1:${port}`;
  const parsed = async (answer: Promise<Answer>): Promise<unknown> => {
    const { status, body } = await answer;
    if (status !== 200) throw new Error(`${status}: ${body}`);
    return JSON.parse(body);
  };
  return {
    token,
    get: <T>(path: string) => parsed(send(port, `${token}api/${path}`)) as Promise<T>,
    post: <T>(path: string, body: unknown) =>
      parsed(
        send(port, `${token}api/${path}`, {
          method: 'POST',
          headers: { origin },
          body: typeof body === 'string' ? body : JSON.stringify(body),
        }),
      ) as Promise<T>,
    /** Waits until the index has all that there is. */
    async rest(): Promise<void> {
      let version = -1;
      for (;;) {
        const state = (await this.get(`state?version=${version}`)) as {
          version: number;
          progress: { rests: boolean };
        };
        if (state.progress.rests) return;
        version = state.version;
      }
    },
  };
}
