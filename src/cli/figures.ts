/** Figures as people read them. */

/** A number of things: `1 row`, `2 rows`. */
export function counted(value: number, thing: string): string {
  return `${count(value)} ${thing}${value === 1 ? '' : 's'}`;
}

/** A number with separators. */
export function count(value: number): string {
  return value.toLocaleString('en');
}
