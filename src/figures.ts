/** Figures as people read them. */

/** A number of things: `1 row`, `2 rows`. */
export function counted(value: number, thing: string): string {
  return `${count(value)} ${thing}${value === 1 ? '' : 's'}`;
}

/** A number with separators. Whole ones do without the tables of Intl, which take 20 ms to load. */
export function count(value: number): string {
  if (!Number.isSafeInteger(value)) return value.toLocaleString('en');
  return String(value).replace(/\B(?=(?:\d{3})+$)/g, ',');
}
