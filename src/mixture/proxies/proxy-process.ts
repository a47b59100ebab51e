/**
 * The child process that runs proxies (see proxy-host.ts). Started by fork(); speaks ProxyRequest/ProxyReply.
 *
 * It leaves when the parent goes away. Nothing is printed: the parent ignores its output.
 */
import { PendingFile } from '../../pending-file.ts';
import { openTokenStore } from '../../train/token-store.ts';
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

process.on('disconnect', () => process.exit(0));
// Ctrl-C reaches the parent's whole group. What is finished then is the parent's to say; its end is ours, see above.
process.on('SIGINT', () => undefined);

function reply(value: ProxyReply): void {
  process.send?.(value);
}
