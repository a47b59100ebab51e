/** The process that runs proxies (see proxy-host.ts). What is printed before an abort is kept by the parent. */
import { OutputFile } from '../../corpus/output-file.ts';
import { openTokenStore } from '../../tokens/token-store.ts';
import { type ServedCall, serve } from '../../work/serve.ts';
import type { ProxyOutcome, ProxyRequest, ProxyTold } from './proxy-host.ts';
import { runProxy } from './proxy-run.ts';

async function proxy(
  { store: path, trajectory, ...request }: ProxyRequest,
  { tell }: ServedCall,
): Promise<ProxyOutcome> {
  using store = openTokenStore(path);
  const file = await OutputFile.create({ path: trajectory });
  let writing: Promise<void> = Promise.resolve();
  try {
    const result = await runProxy({
      ...request,
      store,
      onRecord: (record, tokensPerSecond) => {
        const line = Buffer.from(`${JSON.stringify(record)}\n`);
        writing = writing.then(() => file.write(line));
        // Told at the end.
        writing.catch(() => undefined);
        void tell({ record, tokensPerSecond } satisfies ProxyTold);
      },
    });
    await writing;
    const { bytes } = await file.close();
    return { result, trajectoryBytes: bytes };
  } catch (error) {
    await writing.catch(() => undefined);
    await file.abort();
    throw error;
  }
}

serve({ proxy });
