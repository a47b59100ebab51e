/** `gristmill inspect`: parsing and printing around the inspector; it answers until it is interrupted. */
import { spawn } from 'node:child_process';
import { openInspector } from '../inspect/server.ts';
import { untilInterrupted } from './interrupt.ts';
import { say } from './say.ts';

/** Flags of `gristmill inspect`. */
export interface InspectFlags {
  readonly port: number;
  readonly judgements?: string;
  readonly open?: boolean;
  readonly json?: boolean;
}

/** The action of `gristmill inspect`. */
export async function inspect(
  dir: string,
  { port, judgements, open, json }: InspectFlags,
): Promise<void> {
  await untilInterrupted(
    { ending: 'closing the inspector', ended: 'what was judged is kept' },
    async (signal) => {
      const inspector = await openInspector({
        ...{ dir, port },
        ...(judgements !== undefined && { judgements }),
      });
      try {
        const { url } = inspector;
        const said = json ? JSON.stringify({ url, port: inspector.port }) : `${url}`;
        process.stdout.write(`${said}\n`);
        if (!json) say('open the link in a browser; interrupt to end');
        if (open) openInBrowser(url);
        await new Promise<void>((resolve) => {
          signal.addEventListener('abort', () => resolve(), { once: true });
        });
      } finally {
        await inspector.close();
      }
    },
  );
}

/** A browser that is not there is no failure: the link has been printed. */
function openInBrowser(url: string): void {
  const command = process.platform === 'darwin' ? 'open' : 'xdg-open';
  const child = spawn(command, [url], { stdio: 'ignore', detached: true });
  child.on('error', () => undefined);
  child.unref();
}
