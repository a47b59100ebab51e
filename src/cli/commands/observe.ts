/** The options of commands whose runs may be seen from outside; observe.ts does what they ask for. */
import { type Command, Option } from 'commander';
import { number, wholeNumber } from '../flags.ts';

const seconds = number('a number of at least 0', (value) => value >= 0 && Number.isFinite(value));

function observeOptions(): Option[] {
  return [
    new Option('--metrics-port <n>', 'answer Prometheus at /metrics; 0: any free port').argParser(
      wholeNumber(0, 65_535),
    ),
    new Option('--metrics-host <host>', 'address that metrics listen on (127.0.0.1)'),
    new Option(
      '--metrics-linger <seconds>',
      'at the end wait so long for one more scrape (0)',
    ).argParser(seconds),
    new Option(
      '--log <form>',
      'what goes to stderr: text, or json, an object a line (text)',
    ).choices(['text', 'json']),
  ];
}

/** The flags that {@link withObservers} adds. */
export const OBSERVER_FLAGS: readonly string[] = observeOptions().map(({ long }) => long ?? '');

/** Adds them. */
export function withObservers(command: Command): Command {
  command.optionsGroup('Observing:');
  for (const option of observeOptions()) command.addOption(option);
  return command;
}
