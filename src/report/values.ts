/** Values as reports write them. */

/** Large numbers as people read them. */
export function shortCount(value: number): string {
  for (const [unit, size] of [
    ['T', 1e12],
    ['B', 1e9],
    ['M', 1e6],
    ['k', 1e3],
  ] as const) {
    if (Math.abs(value) >= size) return `${Number((value / size).toPrecision(3))}${unit}`;
  }
  return String(Number(value.toPrecision(3)));
}

/** Settings that are listed. */
const MAX_SETTINGS = 400;

/** Nested settings as `path: value`, bounded. */
export function flattened(
  value: unknown,
  path = '',
  into = new Map<string, string>(),
): Map<string, string> {
  if (into.size >= MAX_SETTINGS) return into;
  if (value !== null && typeof value === 'object' && !Array.isArray(value)) {
    for (const [key, inner] of Object.entries(value)) {
      flattened(inner, path === '' ? key : `${path}.${key}`, into);
    }
  } else into.set(path, typeof value === 'string' ? value : (JSON.stringify(value) ?? '–'));
  return into;
}
