/** Questions to the server that has sent the page, and nobody else: paths are relative to the link, which has the token. */

/** What went wrong, as the server says it. */
export class AskError extends Error {}

async function answerOf(response: Response): Promise<unknown> {
  // A question that is given up while its answer comes must fail, not be answered with nothing.
  if (response.ok) return response.json();
  const body = (await response.json().catch(() => null)) as { message?: string } | null;
  throw new AskError(body?.message ?? `the server refused (${response.status})`);
}

/** GET. */
export async function ask<T>(
  path: string,
  parameters: Readonly<Record<string, string | number>> = {},
  signal?: AbortSignal,
): Promise<T> {
  const query = new URLSearchParams(
    Object.entries(parameters).map(([key, value]) => [key, String(value)]),
  ).toString();
  const response = await fetch(`api/${path}${query ? `?${query}` : ''}`, signal ? { signal } : {});
  return (await answerOf(response)) as T;
}

/** POST. */
export async function tell<T>(path: string, body: unknown, signal?: AbortSignal): Promise<T> {
  const isFile = body instanceof Blob;
  const response = await fetch(`api/${path}`, {
    method: 'POST',
    body: isFile ? body : JSON.stringify(body),
    ...(signal && { signal }),
  });
  return (await answerOf(response)) as T;
}
