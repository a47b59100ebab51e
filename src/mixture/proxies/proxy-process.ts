/**
 * The child process that runs proxies (see proxy-host.ts). Started by fork(); speaks ProxyRequest/ProxyReply.
 *
 * It leaves when the parent goes away. What is printed before an abort is kept by the parent.
 */
import '../../work/child-life.ts';
import { PendingFile } from '../../pending-file.ts';
import { openTokenStore } from '../../tokens/token-store.ts';
import { type ProxyReply, type ProxyRequest, replyOf } from './proxy-host.ts';
import { type ProxyResult, runProxy } from './proxy-run.ts';

async function answer({ store: path, trajectory, ...request }: ProxyRequest): Promise<ProxyResult> {
  using store = openTokenStore(path);
  const file = new PendingFile(trajectory);
  try {
    const result = await runProxy({
      ...request,
      store,
      onRecord: (record, tokensPerSecond) => {
        file.write(`${JSON.stringify(record)}\n`);
        reply({ kind: 'record', record, tokensPerSecond });
      },
    });
    file.commit();
    return result;
  } finally {
    file.discard();
  }
}

process.on('message', (request: ProxyRequest) => {
  answer(request).then(
    (result) => reply({ kind: 'done', result }),
    (error: unknown) => reply(replyOf(error)),
  );
});

function reply(value: ProxyReply): void {
  process.send?.(value);
}
