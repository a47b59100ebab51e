/** The process that runs proxies (see proxy-host.ts). What is printed before an abort is kept by the parent. */
import { PendingFile } from '../../pending-file.ts';
import { openTokenStore } from '../../tokens/token-store.ts';
import { type ServedCall, serve } from '../../work/serve.ts';
import type { ProxyRequest, ProxyTold } from './proxy-host.ts';
import { type ProxyResult, runProxy } from './proxy-run.ts';

async function proxy(
  { store: path, trajectory, ...request }: ProxyRequest,
  { tell }: ServedCall,
): Promise<ProxyResult> {
  using store = openTokenStore(path);
  const file = new PendingFile(trajectory);
  try {
    const result = await runProxy({
      ...request,
      store,
      onRecord: (record, tokensPerSecond) => {
        file.write(`${JSON.stringify(record)}\n`);
        void tell({ record, tokensPerSecond } satisfies ProxyTold);
      },
    });
    file.commit();
    return result;
  } finally {
    file.discard();
  }
}

serve({ proxy });
