/**
 * What the schemas of files from outside have in common: objects by name, and faults in words.
 *
 * - `z.record()` drops a key `__proto__`; {@link byName} keeps every name.
 * - Of a value with several forms zod says that it is none of them; {@link faultsOf} says what is wrong with the one that
 *   was meant: the form that knows most of the keys that are there.
 */
import * as z from 'zod';
import { nearestName } from './nearest-name.ts';

/** A fault of a value from outside. */
export interface SchemaFault {
  readonly path: readonly PropertyKey[];
  readonly message: string;
}

type Issue = z.core.$ZodIssue;

/** An object of any names, `__proto__` and `constructor` too, whose values are of one kind. */
export function byName<Value extends z.ZodType>(
  value: Value,
  name: z.ZodType<string> = z.string(),
): z.ZodType<Record<string, z.output<Value>>, Record<string, z.input<Value>>> {
  return z
    .custom<Record<string, z.input<Value>>>(
      (input) => typeof input === 'object' && input !== null && !Array.isArray(input),
      { error: 'expected an object of values by name' },
    )
    .transform((input, context) => {
      const entries: [string, z.output<Value>][] = [];
      for (const [key, given] of Object.entries(input)) {
        const [named, checked] = [name.safeParse(key), value.safeParse(given)];
        const issues = [...(named.error?.issues ?? []), ...(checked.error?.issues ?? [])];
        for (const issue of issues) {
          context.issues.push({ ...issue, path: [key, ...issue.path], input: given } as never);
        }
        if (checked.success) entries.push([key, checked.data]);
      }
      // Unlike an assignment this makes `__proto__` a property as any other.
      return Object.fromEntries(entries);
    });
}

/** Everything that is wrong with `input`, in words. */
export function faultsOf(error: z.ZodError, input: unknown): SchemaFault[] {
  return faultsIn(error.issues, input);
}

/** All faults in a line; `root` names a place without a path. */
export function faultText(error: z.ZodError, input: unknown, root: string): string {
  return faultsOf(error, input)
    .map(({ path, message }) => `${path.join('.') || root}: ${message}`)
    .join('; ');
}

function faultsIn(issues: readonly Issue[], input: unknown): SchemaFault[] {
  return issues.flatMap((issue): SchemaFault[] => {
    const { path, message } = issue;
    if (issue.code === 'unrecognized_keys') {
      const missing = missingBeside(issues, path, input);
      return issue.keys.map((key) => {
        const meant = nearestName(key, missing);
        const hint = meant === null ? '' : ` (did you mean ${meant}?)`;
        return { path, message: `Unrecognized key: ${JSON.stringify(key)}${hint}` };
      });
    }
    if (issue.code !== 'invalid_union') return [{ path, message }];
    const value = valueAt(input, path);
    const nearest = nearestForm(issue.errors, value);
    if (!nearest) return [{ path, message }];
    return faultsIn(nearest, value).map((fault) => ({ ...fault, path: [...path, ...fault.path] }));
  });
}

/** Keys that should stand where unknown ones do. */
function missingBeside(
  issues: readonly Issue[],
  place: readonly PropertyKey[],
  input: unknown,
): string[] {
  return issues.flatMap(({ path }) => {
    const isBeside =
      path.length === place.length + 1 && place.every((key, depth) => path[depth] === key);
    return isBeside && valueAt(input, path) === undefined ? [String(path.at(-1))] : [];
  });
}

/** The faults of the form that was meant, or null where none is nearer than the others. */
function nearestForm(
  forms: readonly (readonly Issue[])[],
  value: unknown,
): readonly Issue[] | null {
  const possible = forms
    .filter((issues) => !isOtherKind(issues))
    .map((issues) => ({ issues, likeness: likeness(issues, value) }))
    .sort((a, b) => b.likeness - a.likeness);
  const [first, second] = possible;
  if (!first) return null;
  return second?.likeness === first.likeness ? null : first.issues;
}

/** Whether a form is of another kind altogether: the value as a whole is what is wrong. */
function isOtherKind(issues: readonly Issue[]): boolean {
  return issues.some((issue) => {
    if (issue.path.length > 0 || issue.code === 'unrecognized_keys') return false;
    return issue.code !== 'invalid_union' || issue.errors.every(isOtherKind);
  });
}

/** Two for every key that a form knows, one where its value is none as a whole or it is a slip of one that is needed. */
function likeness(issues: readonly Issue[], value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0;
  const unknown = new Set<PropertyKey>();
  const wrong = new Set<PropertyKey>();
  for (const issue of issues) {
    const [key, ...deeper] = issue.path;
    if (key === undefined) {
      if (issue.code === 'unrecognized_keys') for (const name of issue.keys) unknown.add(name);
    } else if (deeper.length === 0 && issue.code !== 'unrecognized_keys') wrong.add(key);
  }
  const keys = Object.keys(value);
  const known = keys.filter((key) => !unknown.has(key));
  const missing = missingBeside(issues, [], value);
  const misspelt = keys.filter((key) => unknown.has(key) && nearestName(key, missing) !== null);
  return 2 * known.length + misspelt.length - known.filter((key) => wrong.has(key)).length;
}

function valueAt(input: unknown, path: readonly PropertyKey[]): unknown {
  let value = input;
  for (const key of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return undefined;
    value = (value as Record<PropertyKey, unknown>)[key];
  }
  return value;
}
