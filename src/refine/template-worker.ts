/**
 * The thread that renders chat templates, which are programs of others (see template-rendering.ts for its bounds from
 * outside: time and memory).
 *
 * Bounds from inside, so that the thread need hardly ever be ended: steps, sizes of values, lengths of ranges. What a
 * template can say depends on no clock: `strftime_now` tells {@link TemplateRequest.date}.
 */
import { type MessagePort, workerData } from 'node:worker_threads';
import { Environment, Interpreter, Template } from '@huggingface/jinja';

/** What is asked of the thread. */
export interface TemplateRequest {
  readonly source: string;
  /** Variables; the first set that renders is taken. */
  readonly attempts: readonly Readonly<Record<string, unknown>>[];
  /** `YYYY-MM-DD` */
  readonly date: string;
}

/** What it answers: the text, or why the first attempt failed. */
export type TemplateReply = { readonly text: string } | { readonly reason: string };

const MAX_SOURCE = 1_000_000;
const MAX_STEPS = 100_000;
const MAX_LENGTH = 2_000_000;
const MAX_ITEMS = 100_000;

const { port, flag } = workerData as { readonly port: MessagePort; readonly flag: Int32Array };
let stepsLeft = 0;
let today = '';

/** Counts what is evaluated and looks at what comes of it; every loop and every call passes through here. */
function bounded<Args extends unknown[], Result>(
  evaluate: (...args: Args) => Result,
): (...args: Args) => Result {
  return function (this: unknown, ...args) {
    if (stepsLeft-- <= 0) throw new Error(`it takes more than ${MAX_STEPS} steps`);
    const result = evaluate.apply(this, args);
    const { value } = (result ?? {}) as { readonly value?: unknown };
    if (typeof value === 'string' && value.length > MAX_LENGTH) {
      throw new Error(`it makes a text of more than ${MAX_LENGTH} characters`);
    }
    if (Array.isArray(value) && value.length > MAX_ITEMS) throw tooManyItems();
    return result;
  };
}

interface Evaluator {
  evaluate: (...args: unknown[]) => unknown;
  evaluateBlock: (...args: unknown[]) => unknown;
}

const evaluator = Interpreter.prototype as unknown as Evaluator;
evaluator.evaluate = bounded(evaluator.evaluate);
evaluator.evaluateBlock = bounded(evaluator.evaluateBlock);

function tooManyItems(): Error {
  return new Error(`it makes a list of more than ${MAX_ITEMS} items`);
}

/** Jinja's range(), which would make any list. */
function range(first: number, second?: number, step = 1): number[] {
  const [start, stop] = second === undefined ? [0, first] : [first, second];
  if (step === 0) throw new Error('range() step must not be zero');
  const length = Math.max(0, Math.ceil((stop - start) / step));
  if (!(length <= MAX_ITEMS)) throw tooManyItems();
  return Array.from({ length }, (_, index) => start + index * step);
}

const MONTHS =
  'January February March April May June July August September October November December'.split(
    ' ',
  );
const DAYS = 'Sunday Monday Tuesday Wednesday Thursday Friday Saturday'.split(' ');

/** Python's strftime in English, of the start of a day in UTC. */
function strftime(date: string, format: string): string {
  const day = new Date(`${date}T00:00:00Z`);
  const [year, month, dayOfMonth] = date.split('-') as [string, string, string];
  const monthName = MONTHS[day.getUTCMonth()]!;
  const dayName = DAYS[day.getUTCDay()]!;
  const fields: Record<string, string> = {
    '%': '%',
    Y: year,
    y: year.slice(-2),
    m: month,
    d: dayOfMonth,
    B: monthName,
    b: monthName.slice(0, 3),
    A: dayName,
    a: dayName.slice(0, 3),
    H: '00',
    I: '12',
    M: '00',
    S: '00',
    p: 'AM',
  };
  return String(format).replace(/%(-?)([A-Za-z%])/g, (whole, plain: string, name: string) => {
    const field = Object.hasOwn(fields, name) ? fields[name]! : whole;
    return plain === '-' ? field.replace(/^0(?=\d)/, '') : field;
  });
}

/** Functions in the place of the engine's own of these names. */
const REPLACED: Readonly<Record<string, unknown>> = {
  range,
  strftime_now: (format: string): string => strftime(today, format),
};
const declare = Environment.prototype.set;
Environment.prototype.set = function (name: string, value: unknown) {
  return declare.call(this, name, Object.hasOwn(REPLACED, name) ? REPLACED[name] : value);
};

function render({ source, attempts, date }: TemplateRequest): TemplateReply {
  let reason: string | undefined;
  for (const variables of attempts) {
    try {
      stepsLeft = MAX_STEPS;
      if (source.length > MAX_SOURCE) throw new Error(`it has more than ${MAX_SOURCE} characters`);
      today = date;
      return { text: new Template(source).render({ ...variables }) };
    } catch (error) {
      reason ??= error instanceof Error ? error.message : String(error);
    }
  }
  return { reason: reason ?? 'nothing was asked' };
}

port.on('message', (request: TemplateRequest) => {
  port.postMessage(render(request));
  Atomics.store(flag, 0, 1);
  Atomics.notify(flag, 0);
});
