/** The client that bodies of answers are read with, loaded with the first question. */
import type { Agent, Dispatcher } from 'undici';

/** An agent of its own connections, and what asks through it. */
export interface HttpClient {
  readonly agent: Agent;
  readonly request: typeof import('undici').request;
}

/** @param connections to one host */
export async function openHttpClient(connections: number): Promise<HttpClient> {
  const { Agent, request } = await import('undici');
  // What stalls is watched for where answers are read.
  return { agent: new Agent({ connections, headersTimeout: 0, bodyTimeout: 0 }), request };
}

/** Headers by their names in small letters; of those that came more than once the first. */
export function flatHeaders(headers: Dispatcher.ResponseData['headers']): Record<string, string> {
  return Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [
      name.toLowerCase(),
      Array.isArray(value) ? (value[0] ?? '') : (value ?? ''),
    ]),
  );
}
