/** Commands that answer Prometheus and write a log, as their tests look at them. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Started } from '../cli/support.ts';
import { seriesOf } from './metrics.ts';

/** A line of a log. */
export type LogLine = Readonly<Record<string, unknown>> & {
  readonly event: string;
  readonly level: string;
};

/** Lines of standard error; every one has to be JSON. */
export const linesOf = (text: string): LogLine[] =>
  text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as LogLine);

/** Says its standard error as it grows. */
export function heard({ process: command }: Started): () => string {
  let text = '';
  command.stderr!.on('data', (chunk: Buffer) => {
    text += chunk.toString();
  });
  return () => text;
}

/** Scrapes a command until it has printed its result. @returns all scrapes; the last one is from behind its end */
export async function scrapes(started: Started, onScrape: () => void = () => undefined) {
  const said = heard(started);
  let isPrinted = false;
  started.process.stdout!.on('data', () => {
    isPrinted = true;
  });
  let url: string | undefined;
  for (let tries = 0; url === undefined; tries++) {
    url = /metrics: (http:\S+\/metrics)"/.exec(said())?.[1];
    if (tries > 3_000) throw new Error(`no address: ${said()}`);
    if (started.process.exitCode !== null) throw new Error(`it has ended: ${said()}`);
    if (url === undefined) await sleep(10);
  }
  const all: Map<string, number>[] = [];
  for (let isLast = false; !isLast; ) {
    isLast = isPrinted;
    try {
      all.push(seriesOf(await (await fetch(url)).text()));
    } catch (error) {
      // It waits for one scrape behind its end, which the one before was.
      await started.finished;
      if (!isPrinted) throw error;
      break;
    }
    onScrape();
    await sleep(20);
  }
  return all;
}
