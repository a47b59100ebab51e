/** `gristmill inspect`: parsing and printing around the inspector; it answers until it is interrupted. */
import { spawn } from 'node:child_process';
import { Command } from 'commander';
import { openInspector } from '../inspect/server.ts';
import { wholeNumber } from './flags.ts';
import { untilInterrupted } from './interrupt.ts';

interface InspectFlags {
  readonly port: number;
  readonly open?: boolean;
  readonly json?: boolean;
}

/** The `inspect` subcommand. */
export function inspectCommand(): Command {
  return new Command('inspect')
    .description(
      'look at a refine run in a browser: what was removed, why, and whether that was right',
    )
    .argument('<dir>', 'output folder of a run, finished or under way')
    .option('--port <n>', 'port on 127.0.0.1; 0 is any that is free', wholeNumber(0, 65_535), 0)
    .option('--open', 'open the link in a browser')
    .option('--json', 'print the link as one JSON object')
    .action(inspect);
}

async function inspect(dir: string, { port, open, json }: InspectFlags): Promise<void> {
  await untilInterrupted(
    { ending: 'closing the inspector', ended: 'what was judged is kept' },
    async (signal) => {
      const inspector = await openInspector({ dir, port });
      try {
        const { url } = inspector;
        const said = json ? JSON.stringify({ url, port: inspector.port }) : `${url}`;
        process.stdout.write(`${said}\n`);
        if (!json) {
          process.stderr.write('gristmill: open the link in a browser; interrupt to end\n');
        }
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
